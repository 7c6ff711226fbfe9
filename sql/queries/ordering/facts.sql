-- name: order
-- An order with all that its amounts and its placing depend on but the catalogue, by its ways to ship and to pay as they can
-- be chosen at :at, and its lines in their order.
select
    orders.id,
    orders.status,
    orders.payment_status,
    orders.placed_at,
    orders.cart_id,
    orders.repeat_link_id,
    orders.order_subscription_id,
    orders.customer_id,
    orders.customer_email,
    customers.customer_group_id,
    orders.currency_code,
    orders.coupon_code,
    orders.coupon_counted,
    stores.prices_include_tax,
    orders.expires_at,
    orders.fulfillment_status,
    orders.tax_included,
    orders.subtotal_amount_cents as subtotal,
    orders.shipping_amount_cents as shipping,
    orders.payment_method_amount_cents as payment_method,
    orders.discount_amount_cents as discount,
    orders.adjustment_amount_cents as adjustment,
    orders.gift_card_amount_cents as gift_card,
    orders.subtotal_tax_amount_cents as subtotal_tax,
    orders.shipping_tax_amount_cents as shipping_tax,
    orders.prepaid_amount_cents as prepaid,
    orders.prepaid_tax_amount_cents as prepaid_tax,
    orders.billing_address_id,
    orders.shipping_address_id,
    orders.shipping_method_id,
    can_be_chosen(shipping_methods.disabled_at, shipping_methods.currency_code, orders.currency_code, :at)
        as shipping_method_available,
    orders.payment_method_id,
    can_be_chosen(payment_methods.disabled_at, payment_methods.currency_code, orders.currency_code, :at)
        as payment_method_available,
    payment_methods.gateway,
    orders.customer_payment_source_id,
    customer_payment_sources.payment_source_token,
    customer_payment_sources.expires_at as payment_source_expires_at,
    stores.gateway_url is not null and stores.gateway_secret is not null as has_external_gateway,
    coalesce(shipping_methods.price_amount_cents, 0) as shipping_price_cents,
    coalesce(payment_methods.price_amount_cents, 0) as payment_price_cents,
    coalesce(billing.snapshot, true) and coalesce(shipping.snapshot, true) as has_snapshots,
    coalesce(shipping.country_code, billing.country_code) as country_code,
    case when shipping.id is null then billing.state_code else shipping.state_code end as state_code,
    case when shipping.id is null then billing.zip_code else shipping.zip_code end as zip_code,
    (
        select count(*) > 0
        from (select include('subscriptions/subscriptions.waiting_for_order', source_order => orders.id)) as waiting
    ) as awaited,
    lines.lines as lines_json,
    lines.sku_ids
from orders
inner join stores
    on orders.store_id = stores.store_id
left join customers
    on orders.store_id = customers.store_id and orders.customer_id = customers.id
left join addresses as billing
    on orders.store_id = billing.store_id and orders.billing_address_id = billing.id
left join addresses as shipping
    on orders.store_id = shipping.store_id and orders.shipping_address_id = shipping.id
left join shipping_methods
    on orders.store_id = shipping_methods.store_id and orders.shipping_method_id = shipping_methods.id
left join payment_methods
    on orders.store_id = payment_methods.store_id and orders.payment_method_id = payment_methods.id
left join customer_payment_sources
    on
        orders.store_id = customer_payment_sources.store_id
        and orders.customer_payment_source_id = customer_payment_sources.id
cross join lateral (
    select
        json_agg(
            json_build_array(
                line_items.id,
                line_items.item_type,
                line_items.sku_id,
                line_items.sku_code,
                line_items.name,
                line_items.options,
                line_items.quantity,
                line_items.currency_code,
                line_items.unit_amount_cents,
                line_items.compare_at_amount_cents,
                line_items.options_amount_cents,
                line_items.discount_cents,
                line_items.total_amount_cents,
                line_items.tax_rate::text,
                line_items.tax_amount_cents,
                line_items.price_mode,
                line_items.position,
                line_items.item_type in ('skus', 'bundles') and skus.do_not_ship is not true
            )
            order by line_items.position, line_items.id
        ) as lines,
        array_agg(line_items.sku_id) filter (where line_items.sku_id is not null) as sku_ids
    from line_items
    left join skus
        on line_items.store_id = skus.store_id and line_items.sku_id = skus.id
    where line_items.store_id = :store and line_items.order_id = orders.id
) as lines
where orders.store_id = :store and orders.id = :order;

-- name: offered
-- An order as `order` tells of it, and as JSON what the catalogue has for it at :at: its skus, and the promotions.
with known as (
    select include('ordering/facts.order')
)

select
    known.*,
    (
        select
            include(
                'catalogue/pricing.catalogue', skus => known.sku_ids, groups => array[known.customer_group_id]
            )
    ) as skus_json,
    (
        select
            include(
                'catalogue/pricing.promotions', coupon => known.coupon_code, counted => known.coupon_counted
            )
    ) as promotions_json
from known;
