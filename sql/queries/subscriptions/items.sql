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
            line_items.store_id = :store and line_items.order_id = orders.id and line_items.sku_id is not null
            and line_items.item_type = 'skus'
    ) as line_ids
from orders
where orders.store_id = :store and orders.id = :order;

-- name: copy_items
-- Gives a subscription an item, with these ids, for each of these lines of its source order.
with made as (
    insert into order_subscription_items (
        store_id, id, order_subscription_id, sku_id, source_line_item_id, sku_code, name, options, quantity, currency_code,
        unit_amount_cents, total_amount_cents, created_at, updated_at
    )
    select
        line_items.store_id,
        given.id,
        :subscription as order_subscription_id,
        line_items.sku_id,
        line_items.id as source_line_item_id,
        line_items.sku_code,
        line_items.name,
        line_items.options,
        line_items.quantity,
        line_items.currency_code,
        line_items.unit_amount_cents,
        line_items.quantity * line_items.unit_amount_cents as total_amount_cents,
        :at as created_at,
        :at as updated_at
    from unnest(:ids::text[], :lines::text[]) as given (id, line_item_id)
    inner join line_items
        on line_items.store_id = :store and given.line_item_id = line_items.id
    returning order_subscription_items.order_subscription_id
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store as store_id,
    'order_subscription_items' as collection,
    count(*) as delta,
    array_agg(order_subscriptions.customer_id) as customers
from made
inner join order_subscriptions
    on order_subscriptions.store_id = :store and made.order_subscription_id = order_subscriptions.id
having count(*) > 0;

-- name: others
-- The items of a subscription but for one.
select
    order_subscription_items.id,
    order_subscription_items.sku_id,
    order_subscription_items.options,
    order_subscription_items.quantity
from order_subscription_items
where
    order_subscription_items.store_id = :store
    and order_subscription_items.order_subscription_id = :subscription
    and order_subscription_items.id <> :item;

-- name: swappable
-- The items of a customer's subscription, and the group whose prices are the customer's.
select
    order_subscription_items.id,
    order_subscription_items.sku_id,
    order_subscription_items.sku_code,
    order_subscription_items.name,
    order_subscription_items.options,
    order_subscription_items.quantity,
    order_subscription_items.currency_code,
    customers.customer_group_id
from order_subscriptions
inner join customers
    on order_subscriptions.store_id = customers.store_id and order_subscriptions.customer_id = customers.id
inner join order_subscription_items
    on
        order_subscriptions.store_id = order_subscription_items.store_id
        and order_subscriptions.id = order_subscription_items.order_subscription_id
where
    order_subscriptions.store_id = :store
    and order_subscriptions.id = :subscription
    and order_subscriptions.customer_id = :customer
order by order_subscription_items.id;

-- name: reprice
-- Gives items other prices of one.
update order_subscription_items
set
    unit_amount_cents = given.unit_amount_cents,
    total_amount_cents = order_subscription_items.quantity * given.unit_amount_cents
from unnest(:items::text[], :unit_amounts_cents::bigint[]) as given (id, unit_amount_cents)
where order_subscription_items.store_id = :store and order_subscription_items.id = given.id;
