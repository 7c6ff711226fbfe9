-- Carts. Whoever changes a cart or its items locks the cart first, and raises its version. A statement that waits for the lock
-- sees the cart's row as it is by then, but joins what belonged to the row of before: the two versions differ, and what
-- was read is read again under the lock.

-- name: lock
-- Locks a cart; gives its id.
select carts.id
from carts
where carts.store_id = :store and carts.id = :cart
for no key update;

-- name: active
-- A customer's one active cart, made from no repeat link.
select carts.id
from carts
where carts.store_id = :store and carts.customer_id = :customer and carts.status = 'active' and carts.repeat_link_id is null;

-- name: read
-- A cart with all that its amounts depend on but the catalogue, and its items in the order of their ids. One that a
-- repeat link made is priced for the customer of the order, who alone may order it. Ways to ship
-- and to pay cost nothing in another currency than their own: the checkout refuses them.
select
    carts.id,
    carts.version,
    carts.session as sealed_session,
    carts.status,
    carts.customer_id,
    customers.customer_group_id,
    carts.currency_code,
    carts.tax_included,
    carts.coupon_code,
    carts.coupon_status,
    addresses.country_code,
    addresses.state_code,
    addresses.zip_code,
    coalesce(shipping_methods.price_amount_cents, 0) as shipping_price_cents,
    coalesce(payment_methods.price_amount_cents, 0) as payment_price_cents,
    carts.subtotal_amount_cents,
    carts.shipping_amount_cents,
    carts.payment_method_amount_cents,
    carts.discount_amount_cents,
    carts.total_tax_amount_cents,
    carts.total_amount_cents,
    content.items,
    content.sku_ids
from carts
left join repeat_links
    on carts.store_id = repeat_links.store_id and carts.repeat_link_id = repeat_links.id
left join orders as repeated
    on repeat_links.store_id = repeated.store_id and repeat_links.order_id = repeated.id
left join customers
    on
        carts.store_id = customers.store_id
        and coalesce(carts.customer_id, repeated.customer_id) = customers.id
left join addresses
    on
        carts.store_id = addresses.store_id
        and coalesce(carts.shipping_address_id, carts.billing_address_id) = addresses.id
left join shipping_methods
    on
        carts.store_id = shipping_methods.store_id and carts.shipping_method_id = shipping_methods.id
        and carts.currency_code = shipping_methods.currency_code
left join payment_methods
    on
        carts.store_id = payment_methods.store_id and carts.payment_method_id = payment_methods.id
        and carts.currency_code = payment_methods.currency_code
cross join lateral (
    select
        json_agg(
            json_build_array(
                cart_items.id,
                cart_items.sku_id,
                cart_items.source_line_item_id,
                cart_items.sku_code,
                cart_items.name,
                cart_items.image_url,
                cart_items.options,
                cart_items.options_digest,
                cart_items.quantity,
                cart_items.unit_amount_cents,
                cart_items.compare_at_amount_cents,
                cart_items.discount_cents,
                cart_items.total_amount_cents,
                cart_items.tax_rate::text,
                cart_items.tax_amount_cents,
                cart_items.metadata
            )
            order by cart_items.id
        ) as items,
        array_agg(cart_items.sku_id) as sku_ids
    from cart_items
    where cart_items.store_id = :store and cart_items.cart_id = carts.id
) as content
where carts.store_id = :store and carts.id = :cart;

-- name: create
-- Makes an empty cart, unless the customer, or the link's browser, has an open one already.
with made as (
    insert into carts (
        store_id, id, session, session_digest, customer_id, currency_code, tax_included, repeat_link_id, browser,
        billing_address_id, shipping_address_id, shipping_method_id, payment_method_id, created_at, updated_at
    )
    select
        :store as store_id,
        :id as id,
        :session as session,
        :session_digest as session_digest,
        :customer as customer_id,
        :currency as currency_code,
        stores.prices_include_tax as tax_included,
        :repeat_link as repeat_link_id,
        :browser as browser,
        :billing_address as billing_address_id,
        :shipping_address as shipping_address_id,
        :shipping_method as shipping_method_id,
        :payment_method as payment_method_id,
        :at as created_at,
        :at as updated_at
    from stores
    where stores.store_id = :store
    on conflict do nothing
    returning carts.id, carts.customer_id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select
        :store as store_id,
        'carts' as collection,
        1 as delta,
        array[made.customer_id] as customers
    from made
)

select made.id from made;

-- name: open
-- Makes a cart :opened (null for none) of customer :customer that comes to these amounts, unless that customer has an
-- active one already. Who includes it counts them.
insert into carts (
    store_id, id, session, session_digest, customer_id, currency_code, tax_included, coupon_status, subtotal_amount_cents,
    shipping_amount_cents, payment_method_amount_cents, discount_amount_cents, total_tax_amount_cents, total_amount_cents,
    metadata, created_at, updated_at
)
select
    :store as store_id,
    :opened as id,
    :session as session,
    :session_digest as session_digest,
    :customer as customer_id,
    :currency as currency_code,
    stores.prices_include_tax as tax_included,
    :coupon_status as coupon_status,
    :subtotal as subtotal_amount_cents,
    :shipping as shipping_amount_cents,
    :payment_method as payment_method_amount_cents,
    :discount as discount_amount_cents,
    :tax as total_tax_amount_cents,
    :total as total_amount_cents,
    :metadata::jsonb as metadata,
    :at as created_at,
    :at as updated_at
from stores
where stores.store_id = :store and :opened::text is not null
on conflict do nothing
returning carts.id, carts.customer_id;

-- name: write_items
-- Writes new and changed items :items (a JSON array) of a cart; each is one more, or none. Who includes it counts them.
insert into cart_items (
    store_id, id, cart_id, sku_id, source_line_item_id, sku_code, name, image_url, options, options_digest,
    quantity, currency_code, unit_amount_cents, compare_at_amount_cents, discount_cents, total_amount_cents,
    tax_rate, tax_amount_cents, metadata, created_at, updated_at
)
select
    :store as store_id,
    item.id,
    :cart as cart_id,
    item.sku_id,
    item.source_line_item_id,
    item.sku_code,
    item.name,
    item.image_url,
    item.options,
    item.options_digest,
    item.quantity,
    :currency as currency_code,
    item.unit_amount_cents,
    item.compare_at_amount_cents,
    item.discount_cents,
    item.total_amount_cents,
    item.tax_rate,
    item.tax_amount_cents,
    item.metadata,
    :at as created_at,
    :at as updated_at
from
    jsonb_to_recordset(:items::jsonb) as item (
        id text, sku_id text, source_line_item_id text, sku_code text, name text, image_url text, options jsonb,
        options_digest text, quantity bigint, unit_amount_cents bigint, compare_at_amount_cents bigint,
        discount_cents bigint, total_amount_cents bigint, tax_rate numeric, tax_amount_cents bigint, metadata jsonb
    )
on conflict (store_id, id) do update set
quantity = excluded.quantity,
unit_amount_cents = excluded.unit_amount_cents,
compare_at_amount_cents = excluded.compare_at_amount_cents,
discount_cents = excluded.discount_cents,
total_amount_cents = excluded.total_amount_cents,
tax_rate = excluded.tax_rate,
tax_amount_cents = excluded.tax_amount_cents,
updated_at = excluded.updated_at,
version = cart_items.version + 1
returning case when cart_items.version = 1 then 1 else 0 end as delta;

-- name: forget_items
-- Outcomes of reorders don't name items :removed of a cart any more, which are about to be removed.
update reorder_outcomes
set cart_item_id = null
where reorder_outcomes.store_id = :store and reorder_outcomes.cart_item_id = any(:removed::text[]);

-- name: forget
-- Reorders don't name a cart that is about to be deleted any more, nor their outcomes its items.
with emptied as (
    update reorder_outcomes
    set cart_item_id = null
    from cart_items
    where
        cart_items.store_id = :store and cart_items.cart_id = :cart
        and reorder_outcomes.store_id = :store and reorder_outcomes.cart_item_id = cart_items.id
)

update reorders
set cart_id = null
where reorders.store_id = :store and reorders.cart_id = :cart;

-- name: remove_items
-- Removes items :removed of a cart; each is one less. Who includes it counts them.
delete from cart_items
where cart_items.store_id = :store and cart_items.cart_id = :cart and cart_items.id = any(:removed::text[])
returning -1 as delta;

-- name: set_amounts
-- Sets the amounts of a cart, its currency and what becomes of its coupon; it gets :metadata beside its own, which wins.
-- :converted_at is null unless it becomes an order now.
update carts
set
    status = case when :converted_at::timestamptz is null then carts.status else 'converted' end,
    converted_at = coalesce(:converted_at, carts.converted_at),
    currency_code = :currency,
    coupon_status = :coupon_status,
    subtotal_amount_cents = :subtotal,
    shipping_amount_cents = :shipping,
    payment_method_amount_cents = :payment_method,
    discount_amount_cents = :discount,
    total_tax_amount_cents = :tax,
    total_amount_cents = :total,
    metadata = :metadata::jsonb || carts.metadata,
    updated_at = :at,
    version = carts.version + 1
where carts.store_id = :store and carts.id = :cart
returning carts.customer_id;

-- name: save
-- Writes what has changed of a cart: its items, which it counts, and its amounts.
with forgotten as (
    select include('carts/carts.forget_items')
),

removed as (
    select include('carts/carts.remove_items')
),

written as (
    select include('carts/carts.write_items')
),

priced as (
    select include('carts/carts.set_amounts', converted_at => null::timestamptz)
),

lines as (
    select sum(line.delta) as delta
    from (
        select written.delta from written
        union all
        select removed.delta from removed
    ) as line
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store as store_id,
    'cart_items' as collection,
    lines.delta,
    array_fill(priced.customer_id, array[abs(lines.delta)::int]) as customers
from lines
cross join priced
where lines.delta <> 0;

-- name: abandon
-- Sets an active cart aside.
update carts
set
    status = 'abandoned',
    updated_at = :at,
    version = carts.version + 1
where carts.store_id = :store and carts.id = :cart and carts.status = 'active';

-- name: session
-- The session of a cart, sealed.
select session
from carts
where store_id = :store and id = :id;

-- name: to_change
-- A cart, locked, with all that it comes to with a sku of code :sku_code: the sku's id, and what the catalogue has at :at for
-- it and for what is in the cart.
with held as (
    select
        carts.id,
        carts.version
    from carts
    where carts.store_id = :store and carts.id = :cart
    for no key update
),

found as (
    select include('carts/carts.read')
),

wanted as (
    select include('catalogue/skus.sku_by_code', code => :sku_code)
)

select
    held.version as held_version,
    found.*,
    wanted.id as sku_id,
    (
        select
            include(
                'catalogue/pricing.catalogue',
                skus => array_append(found.sku_ids, wanted.id),
                groups => array[found.customer_group_id]
            )
    ) as skus_json,
    (
        select include('catalogue/pricing.promotions', coupon => found.coupon_code, counted => false)
    ) as promotions_json
from held
inner join found
    on held.id = found.id
left join wanted
    on true;
