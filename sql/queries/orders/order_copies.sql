-- Copies of orders that are asked for once.

-- name: create
-- A pending copy; no row when the id is taken.
with source as (
    select
        orders.id,
        orders.customer_id
    from orders
    where orders.store_id = :store and orders.id = :source_order
    for key share of orders
),

made as (
    insert into order_factories (
        store_id, id, kind, source_order_id, place_target_order, reuse_wallet, cancel_source_order, apply_promotions,
        skip_errors, ignore_invalid_coupon, reference, reference_origin, metadata, created_at, updated_at
    )
    values (
        :store, :id, 'order_copies', :source_order, :place, :reuse_wallet, :cancel_source, :apply_promotions,
        :skip_errors, :ignore_invalid_coupon, :reference, :reference_origin, :metadata, :at, :at
    )
    on conflict (store_id, id) do nothing
    returning id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select
        :store as store_id,
        'order_copies' as collection,
        1 as delta,
        array[source.customer_id] as customers
    from made
    cross join source
)

select made.id from made;

-- name: claimed
-- What a claimed copy is made from, copy and source order locked; no row when the claim (:attempt) holds no longer. Costs of
-- shipping and paying are those of the source order.
select
    copies.source_order_id,
    copies.order_subscription_id,
    orders.customer_id,
    orders.customer_email,
    customers.customer_group_id,
    orders.currency_code,
    orders.tax_included,
    stores.order_prefix,
    stores.order_suffix,
    stores.mode,
    orders.shipping_amount_cents,
    orders.payment_method_amount_cents,
    orders.billing_address_id,
    orders.shipping_address_id,
    shipping_methods.id as shipping_method_id,
    can_be_chosen(shipping_methods.disabled_at, shipping_methods.currency_code, orders.currency_code, :at)
        as shipping_method_available,
    payment_methods.id as payment_method_id,
    can_be_chosen(payment_methods.disabled_at, payment_methods.currency_code, orders.currency_code, :at)
        as payment_method_available,
    payment_methods.gateway,
    customer_payment_sources.id as customer_payment_source_id,
    customer_payment_sources.payment_source_token,
    customer_payment_sources.expires_at as payment_source_expires_at,
    stores.gateway_url is not null and stores.gateway_secret is not null as has_external_gateway,
    copies.place_target_order,
    copies.cancel_source_order,
    copies.apply_promotions,
    copies.skip_errors,
    copies.ignore_invalid_coupon,
    orders.coupon_code
from order_factories as copies
inner join orders
    on copies.store_id = orders.store_id and copies.source_order_id = orders.id
inner join stores
    on copies.store_id = stores.store_id
left join customers
    on orders.store_id = customers.store_id and orders.customer_id = customers.id
left join customer_payment_sources
    on
        copies.reuse_wallet
        and orders.store_id = customer_payment_sources.store_id
        and orders.customer_id = customer_payment_sources.customer_id
        and orders.customer_payment_source_id = customer_payment_sources.id
left join shipping_methods
    on orders.store_id = shipping_methods.store_id and orders.shipping_method_id = shipping_methods.id
left join payment_methods
    on
        orders.store_id = payment_methods.store_id
        and payment_methods.id = coalesce(customer_payment_sources.payment_method_id, orders.payment_method_id)
where
    copies.store_id = :store
    and copies.id = :copy
    -- By case, as claims in copies/copies.sql are: by keys, not through all live copies.
    and case copies.status when 'in_progress' then true else false end
    and copies.attempt = :attempt
for no key update of copies, orders;

-- name: lines
-- The products of an order in their order; what stands for costs and discounts is left out. A line without a sku's id
-- is looked up by the sku's code.
select
    line_items.id,
    line_items.item_type,
    coalesce(line_items.sku_id, skus.id) as sku_id,
    line_items.sku_code,
    line_items.name,
    line_items.options,
    line_items.quantity,
    line_items.currency_code,
    line_items.unit_amount_cents,
    line_items.options_amount_cents,
    line_items.discount_cents,
    'fixed' as price_mode,
    skus.do_not_ship is not true as ships,
    line_items.metadata,
    false as is_added,
    line_items.updated_at
from line_items
left join skus
    on
        line_items.store_id = skus.store_id
        and (
            line_items.sku_id = skus.id or (line_items.sku_id is null and line_items.sku_code = skus.code)
        )
where
    line_items.store_id = :store and line_items.order_id = :order
    and line_items.item_type in ('skus', 'bundles', 'gift_cards')
order by line_items.position, line_items.id;

-- name: hold_source
-- Locks the source order of a copy, which is to be cancelled; its id.
select orders.id from orders
where orders.store_id = :store and orders.id = :order
for update;
