-- name: next_stop
-- Where an advancing clock is, where it goes, and when its store next has a subscription due to run or to announce that,
-- or a payment to ask for anew; the clock is locked.
select
    test_clocks.frozen_at,
    test_clocks.advancing_to,
    (
        select min(due.at)
        from (
            select
                order_subscriptions.store_id,
                least(order_subscriptions.next_run_at, order_subscriptions.next_alert_at) as at
            from order_subscriptions
            where order_subscriptions.store_id = $1 and order_subscriptions.status = 'active'
            union all
            select
                payment_retries.store_id,
                payment_retries.due_at as at
            from payment_retries
            -- what is due where the clock stands was asked for there, and may have gone wrong
            where payment_retries.store_id = $1 and payment_retries.due_at > test_clocks.frozen_at
        ) as due
        inner join stores
            on due.store_id = stores.store_id
        where stores.test_clock_id = $2
    ) as due_at
from test_clocks
where test_clocks.store_id = $1 and test_clocks.id = $2 and test_clocks.status = 'advancing'
for update of test_clocks;

-- name: stop
-- Halts an advancing clock at an instant on its way.
update test_clocks
set frozen_at = $3
where store_id = $1 and id = $2;

-- name: arrive
-- A clock is where it was to go.
update test_clocks
set
    frozen_at = advancing_to,
    advancing_to = null,
    status = 'ready',
    updated_at = $3,
    version = version + 1
where store_id = $1 and id = $2;

-- name: live_copies
-- The copies of a store that are still to be made.
select id from order_factories
where store_id = $1 and status in ('pending', 'in_progress')
order by created_at, id;

-- name: stranded
-- Of all stores: clocks that are on their way, at most $1. Most of them have a job in the queue. A global read.
select
    store_id,
    id,
    advancing_to
from test_clocks
where status = 'advancing'
order by store_id, id
limit $1;
