-- Repeat links. Whoever makes a cart from a link locks the link first, and looks for the browser's cart only then.

-- name: of_order
-- An order by its code :reference, else by its number :number, else by its id :reference, with its default link that is not revoked.
select
    orders.id as order_id,
    orders.code as order_code,
    orders.placed_at,
    repeat_links.id,
    repeat_links.key_id,
    repeat_links.token_version,
    repeat_links.expires_at,
    repeat_links.max_uses,
    repeat_links.uses,
    repeat_links.revoked_at
from orders
left join repeat_links
    on
        orders.store_id = repeat_links.store_id and orders.id = repeat_links.order_id
        and repeat_links.kind = 'default' and repeat_links.revoked_at is null
where orders.store_id = :store and (orders.code = :reference or orders.number = :number or orders.id = :reference)
order by orders.code = :reference desc, coalesce(orders.number = :number, false) desc
limit 1;

-- name: retire_default
-- Revokes an order's default link that is over at :at, so that another one can take its place; its id.
update repeat_links
set
    revoked_at = :at,
    revoked_reason = case when repeat_links.expires_at <= :at then 'expired' else 'used up' end,
    updated_at = :at,
    version = repeat_links.version + 1
where
    repeat_links.store_id = :store and repeat_links.order_id = :order and repeat_links.kind = 'default'
    and repeat_links.revoked_at is null
    and (repeat_links.expires_at <= :at or repeat_links.uses >= repeat_links.max_uses)
returning repeat_links.id;

-- name: make_default
-- Makes an order's default link, unless it has one already.
with made as (
    insert into repeat_links (store_id, id, order_id, order_code, kind, key_id, created_at, updated_at)
    values (:store, :id, :order, :order_code, 'default', :key, :at, :at)
    on conflict (store_id, order_id) where kind = 'default' and revoked_at is null do nothing
    returning repeat_links.id, repeat_links.order_id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select
        :store as store_id,
        'repeat_links' as collection,
        1 as delta,
        array[orders.customer_id] as customers
    from made
    inner join orders
        on orders.store_id = :store and made.order_id = orders.id
)

select made.id from made;

-- name: sign_anew
-- Has another key, :key, sign a link whose own one, :old_key, is gone.
update repeat_links
set
    key_id = :key,
    updated_at = :at,
    version = repeat_links.version + 1
where repeat_links.store_id = :store and repeat_links.id = :link and repeat_links.key_id = :old_key;

-- name: lock
-- Holds a link as it is until the transaction ends.
select from repeat_links
where repeat_links.store_id = :store and repeat_links.id = :link
for no key update;

-- name: opened
-- A link with its order, what of the order a cart begins with (methods that can still be chosen, by the store's clock, which
-- says :now unless it stands still), what proves its customer, and its store.
select
    repeat_links.store_id,
    repeat_links.id,
    repeat_links.key_id,
    repeat_links.token_version,
    repeat_links.expires_at,
    repeat_links.max_uses,
    repeat_links.uses,
    repeat_links.revoked_at,
    repeat_links.order_id,
    repeat_links.order_code,
    stores.checkout_url,
    orders.currency_code,
    orders.billing_address_id,
    orders.shipping_address_id,
    addresses.first_name,
    addresses.last_name,
    addresses.company,
    addresses.zip_code,
    shipping_methods.id as shipping_method_id,
    shipping_methods.name as shipping_method_name,
    payment_methods.id as payment_method_id,
    payment_methods.name as payment_method_name,
    repeat_link_proofs.rule,
    repeat_link_proofs.customer_id,
    repeat_link_proofs.answers,
    customers.customer_group_id,
    store_facts.*
from repeat_links
inner join stores
    on repeat_links.store_id = stores.store_id
inner join store_facts
    on repeat_links.store_id = store_facts.id
inner join repeat_link_proofs
    on
        repeat_links.store_id = repeat_link_proofs.store_id
        and repeat_links.id = repeat_link_proofs.repeat_link_id
inner join orders
    on repeat_links.store_id = orders.store_id and repeat_links.order_id = orders.id
left join customers
    on orders.store_id = customers.store_id and orders.customer_id = customers.id
left join addresses
    on
        orders.store_id = addresses.store_id
        and coalesce(orders.shipping_address_id, orders.billing_address_id) = addresses.id
left join shipping_methods
    on
        orders.store_id = shipping_methods.store_id and orders.shipping_method_id = shipping_methods.id
        and can_be_chosen(
            shipping_methods.disabled_at, shipping_methods.currency_code, orders.currency_code,
            coalesce(store_facts.frozen_at, :now)
        )
left join payment_methods
    on
        orders.store_id = payment_methods.store_id and orders.payment_method_id = payment_methods.id
        and can_be_chosen(
            payment_methods.disabled_at, payment_methods.currency_code, orders.currency_code,
            coalesce(store_facts.frozen_at, :now)
        )
where repeat_links.store_id = :store and repeat_links.id = :link;

-- name: source
-- What a new link takes over from its order.
select
    orders.code,
    orders.placed_at
from orders
where orders.store_id = :store and orders.id = :order;

-- name: cart_of_browser
-- The latest cart that a browser has from a link: the open one, or with :also_closed also one that is closed.
select
    carts.id as cart_id,
    carts.session as sealed_session,
    carts.status = 'active' as is_open,
    carts.version = carts.filled_version as is_untouched
from carts
where
    carts.store_id = :store and carts.repeat_link_id = :link and carts.browser = :browser
    and (carts.status = 'active' or :also_closed::boolean)
order by carts.status = 'active' desc, carts.id desc
limit 1;

-- name: count_cart
-- Counts a cart that a link made.
update repeat_links
set
    carts_count = repeat_links.carts_count + 1,
    updated_at = :at,
    version = repeat_links.version + 1
where repeat_links.store_id = :store and repeat_links.id = :link;

-- name: note_filled
-- Notes that a cart holds what its link put into it: with its next change it is somebody's own.
update carts
set filled_version = carts.version
where carts.store_id = :store and carts.id = :cart;
