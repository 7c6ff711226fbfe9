-- The ledgers of subscriptions: a row for every occurrence that is past, and for some that are to come.

-- name: schedule
-- What the occurrences of a subscription follow from; a customer (null for an integration) finds only own ones.
select
    id,
    status,
    frequency,
    timezone,
    last_day,
    anchor_at,
    anchor_index,
    anchor_wall,
    phase_on,
    phase_at,
    next_index,
    next_run_at,
    expires_at,
    paused_until,
    max_occurrences,
    catchup_policy,
    cutoff_hours,
    min_days_between_runs,
    parked_at,
    ended_at,
    cancel_at_period_end,
    min_occurrences,
    prepaid_occurrences,
    prepaid_occurrences_left
from order_subscriptions
where store_id = :store and id = :subscription and (:customer::text is null or customer_id = :customer);

-- name: entries
-- The rows of these subscriptions' ledgers, of each from an index of its own on.
with wanted as (
    select
        given.id,
        given.first
    from unnest(:subscriptions::text[], :firsts::bigint[]) as given (id, first)
)

select
    entry.id,
    entry.order_subscription_id,
    entry.occurrence_index,
    entry.nominal_at,
    entry.scheduled_at,
    entry.status,
    entry.reason
from wanted
cross join lateral (
    select occurrences.*
    from occurrences
    where
        occurrences.store_id = :store
        and occurrences.order_subscription_id = wanted.id
        and occurrences.occurrence_index >= wanted.first
    order by occurrences.occurrence_index
) as entry;

-- name: entries_from
-- The rows of a subscription's ledger from an index on.
select
    order_subscription_id,
    occurrence_index,
    nominal_at,
    scheduled_at,
    status,
    reason
from occurrences
where store_id = :store and order_subscription_id = :subscription and occurrence_index >= :first;

-- name: ids
-- The ids of rows of a subscription's ledger, by their indexes.
select
    id,
    occurrence_index
from occurrences
where store_id = :store and order_subscription_id = :subscription and occurrence_index = any(:indexes::bigint[])
order by occurrence_index;

-- name: runs
-- How many occurrences of a subscription came up to run and didn't fail, and how many of them made their orders. One that is
-- held doesn't count until somebody agrees to it: it is given up as the next comes up.
select
    count(*) as came_up,
    count(*) filter (where status = 'completed') as made
from occurrences
where
    store_id = :store
    and order_subscription_id = :subscription
    and occurrence_index > 0
    and status in ('due', 'claimed', 'completed');

-- name: ran
-- The last occurrence of a subscription that came up to run and didn't fail; the order that it repeats before there is one.
select
    occurrences.occurrence_index,
    occurrences.nominal_at,
    occurrences.scheduled_at
from occurrences
where
    occurrences.store_id = :store
    and occurrences.order_subscription_id = :subscription
    and occurrences.occurrence_index > 0
    and occurrences.status in ('due', 'held', 'claimed', 'completed')
union all
select
    0 as occurrence_index,
    orders.placed_at as nominal_at,
    orders.placed_at as scheduled_at
from order_subscriptions
inner join orders
    on order_subscriptions.store_id = orders.store_id and order_subscriptions.source_order_id = orders.id
where
    order_subscriptions.store_id = :store and order_subscriptions.id = :subscription and orders.placed_at is not null
order by occurrence_index desc
limit 1;

-- name: forget
-- Takes back what was planned for a subscription at these indexes, and led to no copy; gives the ids of the lines that were
-- theirs alone.
with contents as materialized (
    select
        occurrence_items.id,
        occurrence_items.occurrence_id
    from occurrence_items
    where
        occurrence_items.store_id = :store
        and occurrence_items.order_subscription_id = :subscription
        and occurrence_items.occurrence_index = any(:indexes::bigint[])
),

gone as (
    delete from occurrences
    where
        store_id = :store
        and order_subscription_id = :subscription
        and occurrence_index = any(:indexes::bigint[])
        and status = 'planned'
        and not exists(
            select 1 from order_factories
            where order_factories.store_id = :store and order_factories.occurrence_id = occurrences.id
        )
    returning occurrences.id, occurrences.order_subscription_id
),

lost as (
    select
        contents.id,
        gone.order_subscription_id
    from contents
    inner join gone
        on contents.occurrence_id = gone.id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select
        :store as store_id,
        less.collection,
        -count(*) as delta,
        array_agg(order_subscriptions.customer_id) as customers
    from (
        select
            'occurrences' as collection,
            gone.order_subscription_id
        from gone
        union all
        select
            'occurrence_items' as collection,
            lost.order_subscription_id
        from lost
    ) as less
    inner join order_subscriptions
        on order_subscriptions.store_id = :store and less.order_subscription_id = order_subscriptions.id
    group by less.collection
)

select lost.id
from lost
order by lost.id;

-- name: write
-- Writes rows of ledgers, :entries (a JSON array); what is in a ledger keeps its id, and what is settled stays. Those that
-- are completed were claimed at the same instant. Gives the rows that it wrote.
with written as (
    insert into occurrences (
        store_id, id, order_subscription_id, occurrence_index, status, nominal_at, scheduled_at, reason, claimed_at,
        completed_at, created_at, updated_at
    )
    select
        :store as store_id,
        entries.id,
        entries.order_subscription_id,
        entries.occurrence_index,
        entries.status,
        entries.nominal_at,
        entries.scheduled_at,
        entries.reason,
        case when entries.status = 'completed' then :at::timestamptz end as claimed_at,
        case when entries.status = 'completed' then :at::timestamptz end as completed_at,
        :at as created_at,
        :at as updated_at
    from
        jsonb_to_recordset((select :entries::jsonb)) as entries (
            id text, order_subscription_id text, occurrence_index bigint, status text, nominal_at timestamptz,
            scheduled_at timestamptz, reason text
        )
    on conflict (store_id, order_subscription_id, occurrence_index) do update
        set
            status = excluded.status,
            nominal_at = excluded.nominal_at,
            scheduled_at = excluded.scheduled_at,
            reason = excluded.reason,
            claimed_at = excluded.claimed_at,
            completed_at = excluded.completed_at,
            updated_at = excluded.updated_at,
            version = occurrences.version + 1
        where occurrences.status in ('planned', 'skipped')
    returning id, order_subscription_id, status, occurrences.version
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select
        :store as store_id,
        'occurrences' as collection,
        count(*) as delta,
        array_agg(whole.customer_id) as customers
    from written
    cross join lateral (
        select order_subscriptions.customer_id
        from order_subscriptions
        where order_subscriptions.store_id = :store and order_subscriptions.id = written.order_subscription_id
        order by order_subscriptions.id
        limit 1
    ) as whole
    where written.version = 1
    having count(*) > 0
)

select
    written.id,
    written.order_subscription_id,
    written.status
from written;

-- name: go_on
-- Where a subscription goes on, and when; without a next run it has ended.
update order_subscriptions
set
    next_index = :next_index,
    next_run_at = :next_run_at,
    ended_at = :ended_at,
    updated_at = :at,
    version = version + 1
where store_id = :store and id = :subscription;
