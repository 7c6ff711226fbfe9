-- Contents of single runs of subscriptions: the lines that are different then.

-- name: run
-- A run of a subscription as its ledger has it.
select
    occurrences.id,
    occurrences.occurrence_index,
    occurrences.status,
    occurrences.scheduled_at
from occurrences
where
    occurrences.store_id = :store
    and occurrences.order_subscription_id = :subscription
    and (occurrences.id = :occurrence or occurrences.occurrence_index = :index);

-- name: item
-- An item of a subscription, as a line of the run of an index (:index) begins with it.
with item as (
    select include('subscriptions/items.of_run')
)

select
    item.sku_id,
    item.sku_code,
    item.name,
    item.options,
    item.quantity,
    item.price_mode,
    item.currency_code,
    item.unit_amount_cents,
    item.priced_by_hand
from item
where item.id = :item;

-- name: drafts
-- What of an occurrence is not in force yet.
select
    occurrence_items.id,
    occurrence_items.order_subscription_item_id,
    occurrence_items.sku_id,
    occurrence_items.options,
    occurrence_items.quantity
from occurrence_items
where
    occurrence_items.store_id = :store and occurrence_items.occurrence_id = :occurrence and occurrence_items.draft
order by occurrence_items.id;

-- name: replace
-- Takes back what was in force of an occurrence of the items that its drafts are about; gives their ids.
with gone as (
    delete from occurrence_items
    where
        occurrence_items.store_id = :store
        and occurrence_items.occurrence_id = :occurrence
        and not occurrence_items.draft
        and occurrence_items.order_subscription_item_id in (
            select drafts.order_subscription_item_id
            from occurrence_items as drafts
            where drafts.store_id = :store and drafts.occurrence_id = :occurrence and drafts.draft
        )
    returning occurrence_items.id, occurrence_items.order_subscription_id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select
        :store as store_id,
        'occurrence_items' as collection,
        -count(*) as delta,
        array_agg(order_subscriptions.customer_id) as customers
    from gone
    inner join order_subscriptions
        on order_subscriptions.store_id = :store and gone.order_subscription_id = order_subscriptions.id
    having count(*) > 0
)

select gone.id
from gone
order by gone.id;

-- name: commit
-- Puts the drafts of an occurrence into force; gives their ids.
update occurrence_items
set draft = false, updated_at = :at, version = version + 1
where store_id = :store and occurrence_id = :occurrence and draft
returning id;

-- name: alike
-- The lines of runs without an order that are in the place of an item, and as far as sku and options go what it is in
-- their run.
select line.id
from occurrence_items as line
inner join occurrences
    on line.store_id = occurrences.store_id and line.occurrence_id = occurrences.id
cross join lateral (
    select of_run.*
    from (select include('subscriptions/items.of_run', index => line.occurrence_index)) as of_run
    where of_run.id = line.order_subscription_item_id
) as item
where
    line.store_id = :store
    and line.order_subscription_item_id = :item
    and occurrences.status not in ('completed', 'missed')
    and line.sku_id = item.sku_id
    and line.options = item.options
order by line.id;

-- name: follow
-- Lets lines of runs without an order (:lines) be what their item is by now in their run, at its price. Where that is what it was,
-- a line keeps its own.
with item as (
    select
        line.id as line_id,
        item.*
    from occurrence_items as line
    cross join lateral (
        select of_run.*
        from (select include('subscriptions/items.of_run', index => line.occurrence_index)) as of_run
        where of_run.id = line.order_subscription_item_id
    ) as item
    where line.store_id = :store and line.id = any(:lines::text[])
)

update occurrence_items
set
    sku_id = item.sku_id, sku_code = item.sku_code, name = item.name, options = item.options,
    unit_amount_cents = item.unit_amount_cents, priced_by_hand = item.priced_by_hand,
    total_amount_cents = occurrence_items.quantity * item.unit_amount_cents, updated_at = :at,
    version = occurrence_items.version + 1
from item
where
    occurrence_items.store_id = :store
    and occurrence_items.id = item.line_id
    and (occurrence_items.sku_id <> item.sku_id or occurrence_items.options <> item.options);

-- name: raise
-- A subscription is another since something that is part of it has changed.
update order_subscriptions
set updated_at = :at, version = order_subscriptions.version + 1
where order_subscriptions.store_id = :store and order_subscriptions.id = :subscription;

-- name: said
-- What is said of a line of an occurrence: of an item of the subscription, or of a line that was added.
select
    occurrence_items.id,
    occurrence_items.order_subscription_item_id is null as is_added
from occurrence_items
where
    occurrence_items.store_id = :store
    and occurrence_items.occurrence_id = :occurrence
    and not occurrence_items.draft
    and (occurrence_items.id = :line or occurrence_items.order_subscription_item_id = :line);

-- name: different
-- What the items of a subscription are in runs in which they are different, how many of
-- them come at all other times, and the name of what they are in the place of, where that is another sku.
select
    line.occurrence_id,
    item.id,
    line.sku_code,
    line.name,
    line.quantity,
    item.quantity as usually,
    case when line.sku_id <> item.sku_id then item.name end as instead
from occurrence_items as line
cross join lateral (
    select of_run.*
    from (select include('subscriptions/items.of_run', index => line.occurrence_index)) as of_run
    where of_run.id = line.order_subscription_item_id
) as item
where
    line.store_id = :store
    and line.occurrence_id = any(:occurrences::text[])
    and not line.draft
order by line.id;

-- name: products
-- What a customer has ordered, the latest first, at most `:most`, and the group whose prices are the customer's.
select
    had.sku_id,
    customers.customer_group_id
from (
    select
        line_items.sku_id,
        max(line_items.id) as latest
    from orders
    inner join line_items
        on orders.store_id = line_items.store_id and orders.id = line_items.order_id
    where
        orders.store_id = :store
        and orders.customer_id = :customer
        and orders.placed_at is not null
        and line_items.sku_id is not null
    group by line_items.sku_id
    order by latest desc
    limit :most
) as had
inner join customers
    on customers.store_id = :store and customers.id = :customer
order by had.latest desc;
