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

-- name: of_run
-- The items of a subscription as the run of an index (:index) orders them: each as what it is swapped to, from the run on from
-- which that counts. Null is for none in particular: as they are.
select
    item.id,
    item.order_subscription_id,
    case when item.swap_occurrence_index <= :index::bigint then item.swap_sku_id else item.sku_id end as sku_id,
    case when item.swap_occurrence_index <= :index::bigint then item.swap_sku_code else item.sku_code end as sku_code,
    case when item.swap_occurrence_index <= :index::bigint then item.swap_name else item.name end as name,
    item.options,
    item.quantity,
    item.price_mode,
    item.currency_code,
    case
        when item.swap_occurrence_index <= :index::bigint then item.swap_unit_amount_cents else item.unit_amount_cents
    end as unit_amount_cents,
    item.priced_by_hand and (item.swap_occurrence_index <= :index::bigint) is not true as priced_by_hand,
    item.source_line_item_id,
    item.metadata,
    item.updated_at,
    item.swap_sku_id
from order_subscription_items as item
where item.store_id = :store and item.order_subscription_id = :subscription
order by item.id;

-- name: swaps
-- The indexes of the runs from which on items of a subscription are swapped, in their order; null where none is.
select array_agg(distinct order_subscription_items.swap_occurrence_index)
from order_subscription_items
where
    order_subscription_items.store_id = :store
    and order_subscription_items.order_subscription_id = :subscription
    and order_subscription_items.swap_occurrence_index is not null;

-- name: take_swaps
-- Makes items of subscriptions (:subscriptions) what they are swapped to, once a run has made its order that the swap counts
-- for, and no run from before waits for its own; gives what each was, and is.
with before as (
    select item.*
    from order_subscription_items as item
    where
        item.store_id = :store
        and item.order_subscription_id = any(:subscriptions::text[])
        and item.swap_occurrence_index is not null
        and exists (
            select 1 from occurrences
            where
                occurrences.store_id = :store
                and occurrences.order_subscription_id = item.order_subscription_id
                and occurrences.occurrence_index >= item.swap_occurrence_index
                and occurrences.status = 'completed'
        )
        and not exists (
            select 1 from occurrences
            where
                occurrences.store_id = :store
                and occurrences.order_subscription_id = item.order_subscription_id
                and occurrences.occurrence_index < item.swap_occurrence_index
                and occurrences.status in ('due', 'held', 'claimed')
        )
),

swapped as (
    update order_subscription_items
    set
        sku_id = before.swap_sku_id,
        sku_code = before.swap_sku_code,
        name = before.swap_name,
        unit_amount_cents = before.swap_unit_amount_cents,
        total_amount_cents = before.quantity * before.swap_unit_amount_cents,
        priced_by_hand = false,
        swap_occurrence_index = null,
        swap_sku_id = null,
        swap_sku_code = null,
        swap_name = null,
        swap_unit_amount_cents = null,
        updated_at = :at,
        version = order_subscription_items.version + 1
    from before
    where order_subscription_items.store_id = :store and order_subscription_items.id = before.id
    returning
        before.id,
        before.sku_code,
        before.name,
        before.unit_amount_cents,
        before.total_amount_cents,
        before.swap_occurrence_index,
        before.swap_sku_code,
        before.swap_name,
        before.swap_unit_amount_cents,
        order_subscription_items.total_amount_cents as swap_total_amount_cents
)

select swapped.*
from swapped
order by swapped.id;

-- name: others
-- The items of a subscription but for one, as the run of an index (:index) orders them, and what each may yet be swapped to.
with item as (
    select include('subscriptions/items.of_run')
)

select
    item.id,
    item.sku_id,
    item.options,
    item.quantity,
    item.swap_sku_id
from item
where item.id <> :item;

-- name: swappable
-- The items of a customer's subscription with their pictures, and the group whose prices are the customer's.
select
    order_subscription_items.id,
    order_subscription_items.sku_id,
    order_subscription_items.sku_code,
    order_subscription_items.name,
    order_subscription_items.options,
    order_subscription_items.quantity,
    order_subscription_items.currency_code,
    customers.customer_group_id,
    order_subscription_items.swap_occurrence_index,
    order_subscription_items.swap_name,
    skus.image_url
from order_subscriptions
inner join customers
    on order_subscriptions.store_id = customers.store_id and order_subscriptions.customer_id = customers.id
inner join order_subscription_items
    on
        order_subscriptions.store_id = order_subscription_items.store_id
        and order_subscriptions.id = order_subscription_items.order_subscription_id
left join skus
    on order_subscription_items.store_id = skus.store_id and order_subscription_items.sku_id = skus.id
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
