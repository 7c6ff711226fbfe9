-- name: situation
-- Of all stores that run on real time: subscriptions that are due; copies that wait for a worker, and that have one;
-- payments that wait for their gateway, or to be tried again; how many runs should have begun or ended by `:late`, and
-- since when the first one waits; workers that were seen after `:absent`. A global read.
with waiting as (
    select
        order_subscriptions.store_id,
        'due' as state,
        order_subscriptions.next_run_at as since
    from order_subscriptions
    where order_subscriptions.status = 'active' and order_subscriptions.next_run_at <= :at
    union all
    select
        order_factories.store_id,
        order_factories.status as state,
        coalesce(order_factories.lease_expires_at, order_factories.created_at) as since
    from order_factories
    where order_factories.status in ('pending', 'in_progress')
),

backlog as (
    select
        count(*) filter (where waiting.state = 'due') as due,
        count(*) filter (where waiting.state = 'pending') as pending,
        count(*) filter (where waiting.state = 'in_progress') as claimed,
        count(*) filter (where waiting.since <= :late) as late,
        min(waiting.since) filter (where waiting.since <= :late) as late_since
    from waiting
    inner join stores
        on waiting.store_id = stores.store_id
    where stores.test_clock_id is null
)

select
    backlog.due,
    backlog.pending,
    backlog.claimed,
    (
        select count(*) from payment_attempts
        inner join stores
            on payment_attempts.store_id = stores.store_id
        where payment_attempts.lease_expires_at is not null and stores.test_clock_id is null
    ) + (
        select count(*) from payment_retries
        inner join stores
            on payment_retries.store_id = stores.store_id
        where stores.test_clock_id is null
    ) as payments,
    backlog.late,
    backlog.late_since,
    (
        select count(*) from workers
        where workers.seen_at > :absent
    ) as workers
from backlog;
