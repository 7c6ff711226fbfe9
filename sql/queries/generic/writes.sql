-- What writing carts, orders, subscriptions and their lines looks up beside the rows themselves.

-- name: store_terms
-- What a store gives every new cart and order.
select
    stores.order_prefix,
    stores.order_suffix,
    stores.prices_include_tax,
    stores.locale
from stores
where stores.store_id = $1;

-- name: methods
-- A way to ship ($2) and a way to pay ($3), each by the name of its relationship.
select
    'shipping_method' as name,
    shipping_methods.currency_code,
    coalesce(shipping_methods.disabled_at <= $4, false) as disabled
from shipping_methods
where shipping_methods.store_id = $1 and shipping_methods.id = $2
union all
select
    'payment_method' as name,
    payment_methods.currency_code,
    coalesce(payment_methods.disabled_at <= $4, false) as disabled
from payment_methods
where payment_methods.store_id = $1 and payment_methods.id = $3;

-- name: payer
-- Whose wallet a payment source is in.
select customer_payment_sources.customer_id
from customer_payment_sources
where customer_payment_sources.store_id = $1 and customer_payment_sources.id = $2;

-- name: customer
-- What a customer's orders and prices depend on.
select
    customers.email,
    customers.customer_group_id
from customers
where customers.store_id = $1 and customers.id = $2;

-- name: sku_by_code
-- The sku that a shop calls so.
select skus.id
from skus
where skus.store_id = $1 and skus.code = $2;

-- name: code_of_sku
-- What a shop calls a sku.
select skus.code
from skus
where skus.store_id = $1 and skus.id = $2;

-- name: take_sku_number
-- The next number of a sku, above all that were given by hand.
with used as (
    select coalesce(max(skus.number), 0) as number
    from skus
    where skus.store_id = $1
)

insert into number_blocks as block (store_id, kind, next_number)
select
    $1 as store_id,
    'skus' as kind,
    used.number + 2 as next_number
from used
on conflict (store_id, kind) do update set next_number = greatest(block.next_number, excluded.next_number - 1) + 1
returning block.next_number - 1;

-- name: reserve_sku_number
-- Sees to it that a number ($2) that was given by hand is not handed out again.
insert into number_blocks as block (store_id, kind, next_number)
values ($1, 'skus', $2::bigint + 1)
on conflict (store_id, kind) do update set next_number = greatest(block.next_number, excluded.next_number);

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

-- name: source_order
-- What a new subscription takes over from the order that it repeats.
select
    orders.customer_id,
    orders.customer_email,
    orders.market_id,
    orders.billing_address_id,
    orders.shipping_address_id,
    orders.shipping_method_id,
    orders.customer_payment_source_id,
    orders.currency_code,
    orders.status,
    orders.placed_at,
    (
        select array_agg(line_items.id order by line_items.position, line_items.id)
        from line_items
        where
            line_items.store_id = $1 and line_items.order_id = orders.id and line_items.sku_id is not null
            and line_items.item_type = 'skus'
    ) as line_ids
from orders
where orders.store_id = $1 and orders.id = $2;

-- name: copy_items
-- Gives a subscription ($2) an item, with these ids ($3), for each of these lines ($4) of its source order.
insert into order_subscription_items (
    store_id, id, order_subscription_id, sku_id, source_line_item_id, sku_code, name, options, quantity, currency_code,
    unit_amount_cents, total_amount_cents, created_at, updated_at
)
select
    line_items.store_id,
    given.id,
    $2 as order_subscription_id,
    line_items.sku_id,
    line_items.id as source_line_item_id,
    line_items.sku_code,
    line_items.name,
    line_items.options,
    line_items.quantity,
    line_items.currency_code,
    line_items.unit_amount_cents,
    line_items.quantity * line_items.unit_amount_cents as total_amount_cents,
    $5 as created_at,
    $5 as updated_at
from unnest($3::text[], $4::text[]) as given (id, line_item_id)
inner join line_items
    on line_items.store_id = $1 and given.line_item_id = line_items.id;

-- name: count_items
-- How many items a subscription has.
select count(*) as items
from order_subscription_items
where order_subscription_items.store_id = $1 and order_subscription_items.order_subscription_id = $2;
