-- name: line_count
-- How many lines an order has, and the last place among them.
select
    count(*) as lines,
    coalesce(max(line_items.position), 0) as last_position
from line_items
where line_items.store_id = $1 and line_items.order_id = $2;

-- name: order_sums
-- An order with what its amounts are made of: the sums of its lines, whether something of it is shipped, and the
-- prices of its ways to ship and to pay.
select
    orders.status,
    orders.fulfillment_status,
    orders.customer_id,
    orders.customer_email,
    orders.subtotal_amount_cents,
    orders.shipping_amount_cents,
    orders.payment_method_amount_cents,
    orders.adjustment_amount_cents,
    orders.subtotal_tax_amount_cents,
    orders.total_tax_amount_cents,
    orders.total_amount_cents,
    orders.discount_amount_cents,
    orders.gift_card_amount_cents,
    orders.shipping_tax_amount_cents,
    coalesce(shipping_methods.price_amount_cents, 0) as shipping_price_cents,
    coalesce(payment_methods.price_amount_cents, 0) as payment_price_cents,
    lines.number as line_number,
    lines.subtotal,
    lines.adjustment,
    lines.tax,
    lines.ships
from orders
left join shipping_methods
    on orders.store_id = shipping_methods.store_id and orders.shipping_method_id = shipping_methods.id
left join payment_methods
    on orders.store_id = payment_methods.store_id and orders.payment_method_id = payment_methods.id
cross join lateral (
    select
        count(*) as number,
        coalesce(
            sum(line_items.total_amount_cents)
            filter (where line_items.item_type in ('skus', 'bundles', 'gift_cards')),
            0
        ) as subtotal,
        coalesce(
            sum(line_items.total_amount_cents) filter (where line_items.item_type = 'adjustments'), 0
        ) as adjustment,
        coalesce(sum(line_items.tax_amount_cents), 0) as tax,
        coalesce(bool_or(line_items.item_type in ('skus', 'bundles') and skus.do_not_ship is not true), false) as ships
    from line_items
    left join skus
        on line_items.store_id = skus.store_id and line_items.sku_id = skus.id
    where line_items.store_id = $1 and line_items.order_id = orders.id
) as lines
where orders.store_id = $1 and orders.id = $2;

-- name: save_order_sums
-- Sets an order's amounts and what follows from its lines.
update orders
set
    status = $3,
    fulfillment_status = $4,
    subtotal_amount_cents = $5,
    shipping_amount_cents = $6,
    payment_method_amount_cents = $7,
    adjustment_amount_cents = $8,
    subtotal_tax_amount_cents = $9,
    total_tax_amount_cents = $10,
    total_amount_cents = $11,
    refreshed_at = $12,
    updated_at = $12,
    version = orders.version + 1
where orders.store_id = $1 and orders.id = $2;
