-- name: due_stores
-- Of all stores that run on real time: those with a subscription whose next run, or the alert of it, has come at $1, or
-- with a payment that is to be asked for anew, if the database belongs to the installation $2. A global read.
select stores.store_id
from stores
where
    stores.test_clock_id is null
    and exists(
        select 1 from deployment
        where deployment.id = $2
    )
    and stores.store_id in (
        select order_subscriptions.store_id
        from order_subscriptions
        where
            order_subscriptions.status = 'active'
            and (order_subscriptions.next_run_at <= $1 or order_subscriptions.next_alert_at <= $1)
        union all
        select payment_retries.store_id
        from payment_retries
        where payment_retries.retry_at <= $1 and payment_retries.due_at <= $1
    );

-- name: due
-- At most $3 subscriptions of a store whose next run has come at $2, locked; those that another sweep holds are left
-- to it. What is left of their runs counts every occurrence that came up to run, however it ended. Copies of the schedule
-- since $4, or since somebody unparked the subscription, are counted for the batch as a whole: with old statistics
-- Postgres would look through all of them for each subscription.
with due as materialized (
    select order_subscriptions.*
    from order_subscriptions
    where
        order_subscriptions.store_id = $1
        and order_subscriptions.status = 'active'
        and order_subscriptions.next_run_at <= $2
    order by order_subscriptions.next_run_at, order_subscriptions.id
    limit $3
    for no key update of order_subscriptions skip locked
),

recent as materialized (
    select
        order_factories.order_subscription_id,
        count(*) as number
    from order_factories
    inner join due
        on order_factories.order_subscription_id = due.id
    where
        order_factories.store_id = $1
        and order_factories.occurrence_id is not null
        and order_factories.created_at > greatest($4, due.unparked_at)
    group by order_factories.order_subscription_id
)

select
    due.id,
    due.source_order_id,
    due.frequency,
    due.timezone,
    due.last_day,
    due.anchor_at,
    due.anchor_index,
    due.next_index,
    due.expires_at,
    due.paused_until,
    due.catchup_policy,
    case
        when due.max_occurrences is not null
            then due.max_occurrences - (
                select count(*) from occurrences
                where
                    occurrences.store_id = $1
                    and occurrences.order_subscription_id = due.id
                    and occurrences.occurrence_index > 0
                    and occurrences.status in ('due', 'held', 'claimed', 'completed', 'failed')
            )
    end as runs_left,
    coalesce(recent.number, 0) as copies_of_a_day
from due
left join recent
    on due.id = recent.order_subscription_id
order by due.next_run_at, due.id;

-- name: entries
-- The rows of these subscriptions' ledgers from their next occurrences on.
select
    occurrences.order_subscription_id,
    occurrences.occurrence_index,
    occurrences.nominal_at,
    occurrences.scheduled_at,
    occurrences.status,
    occurrences.reason
from occurrences
inner join order_subscriptions
    on
        occurrences.store_id = order_subscriptions.store_id
        and occurrences.order_subscription_id = order_subscriptions.id
where
    occurrences.store_id = $1
    and occurrences.order_subscription_id = any($2)
    and occurrences.occurrence_index >= order_subscriptions.next_index;

-- name: entries_from
-- The rows of a subscription's ledger from the index $3 on.
select
    occurrence_index,
    nominal_at,
    scheduled_at,
    status,
    reason
from occurrences
where store_id = $1 and order_subscription_id = $2 and occurrence_index >= $3;

-- name: runs
-- How many occurrences of a subscription came up to run, however they ended.
select count(*) from occurrences
where
    store_id = $1
    and order_subscription_id = $2
    and occurrence_index > 0
    and status in ('due', 'held', 'claimed', 'completed', 'failed');

-- name: forget
-- Takes back what was planned for a subscription from the index $3 on, and led to no copy.
delete from occurrences
where
    store_id = $1
    and order_subscription_id = $2
    and occurrence_index >= $3
    and status = any($4)
    and not exists(
        select 1 from order_factories
        where order_factories.store_id = $1 and order_factories.occurrence_id = occurrences.id
    );

-- name: write_entries
-- Writes rows of ledgers; what is in a ledger keeps its id. Gives those that are due.
insert into occurrences (
    store_id, id, order_subscription_id, occurrence_index, status, nominal_at, scheduled_at, reason, created_at,
    updated_at
)
select
    $1 as store_id,
    entries.id,
    entries.order_subscription_id,
    entries.occurrence_index,
    entries.status,
    entries.nominal_at,
    entries.scheduled_at,
    entries.reason,
    $10 as created_at,
    $10 as updated_at
from unnest(
    $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[]
) as entries (id, order_subscription_id, occurrence_index, status, nominal_at, scheduled_at, reason)
on conflict (store_id, order_subscription_id, occurrence_index) do update
    set
        status = excluded.status,
        nominal_at = excluded.nominal_at,
        scheduled_at = excluded.scheduled_at,
        reason = excluded.reason,
        updated_at = excluded.updated_at,
        version = occurrences.version + 1
    where occurrences.status = any($9)
returning id, order_subscription_id, occurrence_index, status;

-- name: advance
-- Subscriptions go on to their next occurrences.
update order_subscriptions
set
    next_index = ahead.next_index,
    next_run_at = ahead.next_run_at,
    updated_at = $5,
    version = order_subscriptions.version + 1
from unnest($2::text[], $3::bigint[], $4::timestamptz[]) as ahead (id, next_index, next_run_at)
where order_subscriptions.store_id = $1 and order_subscriptions.id = ahead.id;

-- name: order_copies
-- Pending copies of occurrences that are due.
insert into order_factories (
    store_id, id, kind, source_order_id, order_subscription_id, occurrence_id, place_target_order, created_at,
    updated_at
)
select
    $1 as store_id,
    copies.id,
    'recurring_order_copies' as kind,
    order_subscriptions.source_order_id,
    copies.order_subscription_id,
    copies.occurrence_id,
    order_subscriptions.place_target_order,
    $5 as created_at,
    $5 as updated_at
from unnest($2::text[], $3::text[], $4::text[]) as copies (id, order_subscription_id, occurrence_id)
inner join order_subscriptions
    on order_subscriptions.store_id = $1 and copies.order_subscription_id = order_subscriptions.id;

-- name: give_up
-- Held occurrences of these subscriptions, whose next one has come, are missed: nobody agreed to them in time.
update occurrences
set status = 'missed', reason = 'approval', updated_at = $3, version = version + 1
where store_id = $1 and order_subscription_id = any($2) and status = 'held';

-- name: unordered
-- Occurrences of a subscription that are due, and have no copy that is to be made: somebody agreed to them.
select
    id,
    order_subscription_id
from occurrences
where
    store_id = $1
    and order_subscription_id = $2
    and status = 'due'
    and approved_amount_cents is not null
    and not exists(
        select 1 from order_factories
        where
            order_factories.store_id = $1
            and order_factories.occurrence_id = occurrences.id
            and order_factories.status not in ('failed', 'aborted')
    );

-- name: park
-- Takes a subscription out of the schedule until somebody looks at it.
update order_subscriptions
set
    parked_at = $3,
    parked_reason = $4,
    next_run_at = null,
    updated_at = $3,
    version = version + 1
where store_id = $1 and id = $2;
