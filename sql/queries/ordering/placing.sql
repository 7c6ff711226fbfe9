-- Placing orders, and taking that back. Whoever does locks the order first.

-- name: facts
-- What placing looks at, of an order that is locked.
select
    orders.status,
    orders.payment_status,
    orders.cart_id,
    orders.customer_id,
    orders.customer_email,
    orders.currency_code,
    orders.coupon_code,
    orders.tax_included,
    orders.total_tax_amount_cents,
    orders.total_amount_cents,
    orders.expires_at,
    orders.fulfillment_status,
    orders.billing_address_id,
    orders.shipping_address_id,
    orders.shipping_method_id,
    orders.payment_method_id,
    orders.customer_payment_source_id,
    orders.order_subscription_id,
    customers.customer_group_id,
    stores.gateway_url is not null and stores.gateway_secret is not null as has_external_gateway,
    coalesce(billing.snapshot, true) and coalesce(shipping.snapshot, true) as has_snapshots,
    can_be_chosen(shipping_methods.disabled_at, shipping_methods.currency_code, orders.currency_code, $3)
        as shipping_method_available,
    can_be_chosen(payment_methods.disabled_at, payment_methods.currency_code, orders.currency_code, $3)
        as payment_method_available,
    payment_methods.gateway,
    customer_payment_sources.payment_source_token,
    customer_payment_sources.expires_at as payment_source_expires_at
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
where orders.store_id = $1 and orders.id = $2;

-- name: lines
-- The lines of skus of an order, in their order.
select
    line_items.id,
    line_items.item_type,
    line_items.sku_id,
    line_items.sku_code,
    line_items.name,
    line_items.options,
    line_items.quantity,
    line_items.currency_code,
    line_items.unit_amount_cents
from line_items
where line_items.store_id = $1 and line_items.order_id = $2 and line_items.item_type = 'skus'
order by line_items.position, line_items.id;

-- name: lock
-- Locks an order; its status.
select orders.status
from orders
where orders.store_id = $1 and orders.id = $2
for no key update;

-- name: save
-- Sets what placing and cancelling change of an order, at $7; addresses $5 and $6 become its snapshots. $8 and $9 are
-- when it was placed and cancelled, if that is now.
update orders
set
    status = $3,
    payment_status = $4,
    billing_address_id = $5,
    shipping_address_id = $6,
    placed_at = coalesce($8, orders.placed_at),
    cancelled_at = coalesce($9, orders.cancelled_at),
    payment_updated_at = case when orders.payment_status = $4 then orders.payment_updated_at else $7 end,
    updated_at = $7,
    version = orders.version + 1
where orders.store_id = $1 and orders.id = $2;

-- name: give_stock_back
-- Puts what was taken for an order back into the stock, all skus in one order so that two orders never wait for each
-- other in a circle.
with taken as (
    select
        line_items.sku_id,
        sum(line_items.quantity)::bigint as quantity
    from line_items
    where line_items.store_id = $1 and line_items.order_id = $2 and line_items.item_type = 'skus'
    group by line_items.sku_id
),

held as (
    select
        stock_items.id,
        taken.quantity
    from stock_items
    inner join taken
        on stock_items.sku_id = taken.sku_id
    inner join skus
        on stock_items.store_id = skus.store_id and stock_items.sku_id = skus.id
    where stock_items.store_id = $1 and not skus.do_not_track
    order by stock_items.sku_id
    for no key update of stock_items
)

update stock_items
set
    quantity = stock_items.quantity + held.quantity,
    updated_at = $3,
    version = stock_items.version + 1
from held
where stock_items.store_id = $1 and stock_items.id = held.id;
