-- name: next_stop
-- Locks an advancing clock. Returns its instant, its goal, when its store next has a run, an alert, the retry of a payment or
-- a look at a card that expires due, and whether copies or payments of the instant hold it up, `:but` for those of orders.
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
            where order_subscriptions.store_id = :store and order_subscriptions.status = 'active'
            union all
            select
                payment_retries.store_id,
                payment_retries.due_at as at
            from payment_retries
            -- what was due at the clock's own instant was tried then, and may have failed
            where payment_retries.store_id = :store and payment_retries.due_at > test_clocks.frozen_at
            union all
            select
                customer_payment_sources.store_id,
                customer_payment_sources.expiry_due_at as at
            from customer_payment_sources
            where
                customer_payment_sources.store_id = :store
                and customer_payment_sources.expiry_due_at > test_clocks.frozen_at
        ) as due
        inner join stores
            on due.store_id = stores.store_id
        where stores.test_clock_id = :clock
    ) as due_at,
    (
        exists(
            select 1 from order_factories
            where order_factories.store_id = :store and order_factories.status in ('pending', 'in_progress')
        )
        or exists(
            select 1 from payment_attempts
            where
                payment_attempts.store_id = :store
                and payment_attempts.lease_expires_at is not null
                and payment_attempts.status = 'pending'
                and payment_attempts.order_id <> all(:but::text[])
        )
    ) as is_held_up
from test_clocks
where test_clocks.store_id = :store and test_clocks.id = :clock and test_clocks.status = 'advancing'
for update of test_clocks;

-- name: stop
-- Stops an advancing clock at an instant before its goal.
update test_clocks
set frozen_at = :at
where store_id = :store and id = :clock;

-- name: arrive
-- Makes a clock ready that has reached its goal.
update test_clocks
set
    frozen_at = advancing_to,
    advancing_to = null,
    status = 'ready',
    updated_at = :at,
    version = version + 1
where store_id = :store and id = :clock;

-- name: live_copies
-- The copies of a store that are still to be made, the oldest first.
select id from order_factories
where store_id = :store and status in ('pending', 'in_progress')
order by created_at, id;

-- name: stranded
-- Of all stores: advancing clocks, at most `:most`. Most of them have a job in the queue. A global read.
select
    store_id,
    id,
    advancing_to as goal
from test_clocks
where status = 'advancing'
order by store_id, id
limit :most;

-- name: is_kept
-- Whether a store keeps the time of a clock.
select exists(
    select 1 from stores
    where stores.store_id = :store and stores.test_clock_id = :clock
);

-- name: kept
-- The test clock whose time a store keeps; no row for real time.
select
    test_clocks.id,
    test_clocks.frozen_at,
    test_clocks.advancing_to
from stores
inner join test_clocks
    on stores.store_id = test_clocks.store_id and stores.test_clock_id = test_clocks.id
where stores.store_id = :store;

-- name: seen
-- When a run of the store's subscriptions was last made; null where none was.
select max(order_subscriptions.last_run_at) as seen
from order_subscriptions
where order_subscriptions.store_id = :store;
