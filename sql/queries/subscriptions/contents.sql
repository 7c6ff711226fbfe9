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
-- An item of a subscription, as a line of a single run begins with it.
select
    order_subscription_items.sku_id,
    order_subscription_items.sku_code,
    order_subscription_items.name,
    order_subscription_items.options,
    order_subscription_items.quantity,
    order_subscription_items.price_mode,
    order_subscription_items.currency_code,
    order_subscription_items.unit_amount_cents,
    order_subscription_items.priced_by_hand
from order_subscription_items
where
    order_subscription_items.store_id = :store
    and order_subscription_items.id = :item
    and order_subscription_items.order_subscription_id = :subscription;

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

-- name: follow
-- Lets lines of runs to come be what their item is now, at its price, as far as they are what it was so far; gives their ids.
update occurrence_items
set
    sku_id = item.sku_id, sku_code = item.sku_code, name = item.name, options = item.options,
    unit_amount_cents = item.unit_amount_cents, priced_by_hand = item.priced_by_hand,
    total_amount_cents = occurrence_items.quantity * item.unit_amount_cents, updated_at = :at,
    version = occurrence_items.version + 1
from order_subscription_items as item
where
    occurrence_items.store_id = :store
    and occurrence_items.order_subscription_item_id = :item
    and item.store_id = :store
    and item.id = :item
    and occurrence_items.sku_id = :sku
    and occurrence_items.options = :options::jsonb
    and occurrence_items.occurrence_index >= :next_index
returning occurrence_items.id;

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

-- name: products
-- What a customer has ordered and can still be ordered, the latest first, at most `:most`.
select
    skus.code as sku_code,
    skus.name
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
inner join skus
    on skus.store_id = :store and had.sku_id = skus.id
where skus.disabled_at is null
order by had.latest desc;
