-- Carts on their way to becoming orders.

-- name: take_over
-- A cart, locked, with all that its order is decided on: what it takes over, who buys it (:customer if that was said, else
-- the cart's, else whoever is signed in, :signed_in, else that of the order that its repeat link repeats), what its
-- store decides, its ways to ship and to pay unless others are chosen, and what the catalogue has for it.
with held as (
    select carts.*
    from carts
    where carts.store_id = :store and carts.id = :cart
    for no key update
),

found as (
    select include('carts/carts.read')
),

terms as (
    select include('tenant/stores.terms')
),

methods as (
    select
        include(
            'catalogue/methods.methods',
            shipping_method => coalesce(:shipping_method, (select held.shipping_method_id from held)),
            payment_method => coalesce(:payment_method, (select held.payment_method_id from held))
        )
)

select
    held.version as held_version,
    held.customer_email,
    held.billing_address_id,
    held.shipping_address_id,
    held.shipping_method_id,
    held.payment_method_id,
    held.customer_payment_source_id,
    held.repeat_link_id,
    held.metadata,
    repeat_links.revoked_at is not null as revoked,
    source.id as source_order_id,
    coalesce(source.root_order_id, source.id) as root_order_id,
    source.customer_id as source_customer_id,
    source.customer_email as source_customer_email,
    buyers.id as buyer_id,
    buyers.email as buyer_email,
    terms.*,
    found.*,
    (
        select json_agg(json_build_array(methods.name, methods.id, methods.currency_code, methods.disabled, methods.price))
        from methods
    ) as methods,
    (
        select
            include(
                'catalogue/pricing.catalogue', skus => found.sku_ids, groups => array[found.customer_group_id]
            )
    ) as skus_json,
    (
        select include('catalogue/pricing.promotions', coupon => found.coupon_code, counted => false)
    ) as promotions_json
from held
inner join found
    on held.id = found.id
cross join terms
left join repeat_links
    on held.store_id = repeat_links.store_id and held.repeat_link_id = repeat_links.id
left join orders as source
    on repeat_links.store_id = source.store_id and repeat_links.order_id = source.id
left join customers as buyers
    on
        held.store_id = buyers.store_id
        and buyers.id = coalesce(:customer, held.customer_id, :signed_in, source.customer_id);

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
-- Gives an order lines :lines (a JSON array), each of an item of its cart: at the catalogue's prices until it is placed.
-- Who includes it counts them.
insert into line_items (
    store_id, id, order_id, sku_id, sku_code, name, image_url, position, options, quantity, currency_code,
    unit_amount_cents, compare_at_amount_cents, price_mode, discount_cents, total_amount_cents, tax_rate,
    tax_amount_cents, metadata, created_at, updated_at
)
select
    cart_items.store_id,
    line.id,
    :order as order_id,
    cart_items.sku_id,
    cart_items.sku_code,
    cart_items.name,
    cart_items.image_url,
    line.position,
    cart_items.options,
    cart_items.quantity,
    cart_items.currency_code,
    line.unit_amount_cents,
    line.compare_at_amount_cents,
    'current' as price_mode,
    line.discount_cents,
    line.total_amount_cents,
    line.tax_rate,
    line.tax_amount_cents,
    cart_items.metadata,
    :at as created_at,
    :at as updated_at
from
    jsonb_to_recordset(:lines::jsonb) as line (
        id text, cart_item_id text, position bigint, unit_amount_cents bigint, compare_at_amount_cents bigint,
        discount_cents bigint, total_amount_cents bigint, tax_rate numeric, tax_amount_cents bigint
    )
inner join cart_items
    on cart_items.store_id = :store and line.cart_item_id = cart_items.id;

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
