-- Carts on their way to becoming orders.

-- name: take_over
-- An active or other cart, locked, with what its order takes over from it and, of one from a repeat link, the order
-- that the link repeats.
select
    carts.status,
    carts.customer_id,
    carts.customer_email,
    carts.billing_address_id,
    carts.shipping_address_id,
    carts.shipping_method_id,
    carts.payment_method_id,
    carts.customer_payment_source_id,
    carts.repeat_link_id,
    carts.metadata,
    repeat_links.revoked_at is not null as revoked,
    source.id as source_order_id,
    coalesce(source.root_order_id, source.id) as root_order_id,
    source.customer_id as source_customer_id,
    source.customer_email as source_customer_email
from carts
left join repeat_links
    on carts.store_id = repeat_links.store_id and carts.repeat_link_id = repeat_links.id
left join orders as source
    on repeat_links.store_id = source.store_id and repeat_links.order_id = source.id
where carts.store_id = :store and carts.id = :cart
for no key update of carts;

-- name: factor
-- What somebody has to know of the order behind a cart's repeat link, by the store's rule: any of these will do.
select
    repeat_link_proofs.repeat_link_id,
    repeat_link_proofs.rule,
    repeat_link_proofs.customer_id,
    repeat_link_proofs.answers
from carts
inner join repeat_link_proofs
    on carts.store_id = repeat_link_proofs.store_id and carts.repeat_link_id = repeat_link_proofs.repeat_link_id
where carts.store_id = :store and carts.id = :cart;

-- name: link
-- The repeat link that made a cart.
select carts.repeat_link_id
from carts
where carts.store_id = :store and carts.id = :cart;

-- name: make_lines
-- Gives an order a line, with ids :ids, for each of items :items of its cart: at the catalogue's prices until it is placed.
with ordered as (
    select orders.customer_id
    from orders
    where orders.store_id = :store and orders.id = :order
),

made as (
    insert into line_items (
        store_id, id, order_id, sku_id, sku_code, name, image_url, position, options, quantity, currency_code,
        unit_amount_cents, compare_at_amount_cents, price_mode, discount_cents, total_amount_cents, tax_rate,
        tax_amount_cents, metadata, created_at, updated_at
    )
    select
        cart_items.store_id,
        given.id,
        :order as order_id,
        cart_items.sku_id,
        cart_items.sku_code,
        cart_items.name,
        cart_items.image_url,
        given.position,
        cart_items.options,
        cart_items.quantity,
        cart_items.currency_code,
        cart_items.unit_amount_cents,
        cart_items.compare_at_amount_cents,
        'current' as price_mode,
        cart_items.discount_cents,
        cart_items.total_amount_cents,
        cart_items.tax_rate,
        cart_items.tax_amount_cents,
        cart_items.metadata,
        :at as created_at,
        :at as updated_at
    from unnest(:ids::text[], :items::text[]) with ordinality as given (id, cart_item_id, position)
    inner join cart_items
        on cart_items.store_id = :store and given.cart_item_id = cart_items.id
    returning line_items.id
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store as store_id,
    'line_items' as collection,
    count(*) as delta,
    array_agg(ordered.customer_id) as customers
from made
cross join ordered
having count(*) > 0;

-- name: convert
-- Closes a cart that became an order.
update carts
set
    status = 'converted',
    converted_at = :at,
    updated_at = :at,
    version = carts.version + 1
where carts.store_id = :store and carts.id = :cart;

-- name: use_link
-- Counts the order that a repeat link led to; no row when it has led to as many as it may.
update repeat_links
set
    uses = repeat_links.uses + 1,
    updated_at = :at,
    version = repeat_links.version + 1
where
    repeat_links.store_id = :store and repeat_links.id = :link
    and coalesce(repeat_links.uses < repeat_links.max_uses, true)
returning repeat_links.id;
