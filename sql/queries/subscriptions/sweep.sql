-- name: due_stores
-- Of all stores that run on real time: those with a subscription whose next run, or the alert of it, has come after `:since`
-- and by `:at`, or with a payment that is to be asked for anew, or a card that expires soon, if the database belongs to the
-- installation `:deployment`. A global read.
select stores.store_id
from stores
where
    stores.test_clock_id is null
    and exists(
        select 1 from deployment
        where deployment.id = :deployment
    )
    and stores.store_id in (
        select order_subscriptions.store_id
        from order_subscriptions
        where
            order_subscriptions.status = 'active'
            and (
                (order_subscriptions.next_run_at > :since and order_subscriptions.next_run_at <= :at)
                or (order_subscriptions.next_alert_at > :since and order_subscriptions.next_alert_at <= :at)
            )
        union all
        select payment_retries.store_id
        from payment_retries
        where payment_retries.retry_at <= :at and payment_retries.due_at > :since and payment_retries.due_at <= :at
        union all
        select customer_payment_sources.store_id
        from customer_payment_sources
        where
            customer_payment_sources.expiry_due_at > :since
            and customer_payment_sources.expiry_due_at <= :at
    );

-- name: due_ids
-- At most `:most` subscriptions of a store whose next run has come at `:at`, those first that `due` takes up first.
select order_subscriptions.id
from order_subscriptions
where
    order_subscriptions.store_id = :store
    and order_subscriptions.status = 'active'
    and order_subscriptions.next_run_at <= :at
order by order_subscriptions.next_run_at, order_subscriptions.id
limit :most;

-- name: due
-- At most `:most` subscriptions of a store whose next run has come at `:at`, or `:only` this one, locked; those that another
-- sweep holds are left to it. Where their runs have a number, those are counted that came up to run, and neither
-- failed nor are held. Copies of the schedule are counted since `:since`, or since somebody unparked the subscription, up to `:fuse`.
with due as materialized (
    select order_subscriptions.*
    from order_subscriptions
    where
        order_subscriptions.store_id = :store
        and order_subscriptions.status = 'active'
        and order_subscriptions.next_run_at <= :at
        and (:only::text is null or order_subscriptions.id = :only)
    order by order_subscriptions.next_run_at, order_subscriptions.id
    limit :most
    for no key update of order_subscriptions skip locked
)

select
    due.id,
    due.status,
    due.frequency,
    due.timezone,
    due.last_day,
    due.anchor_at,
    due.anchor_index,
    due.anchor_wall,
    due.phase_on,
    due.phase_at,
    due.next_index,
    due.next_run_at,
    due.expires_at,
    due.paused_until,
    due.max_occurrences,
    due.catchup_policy,
    due.cutoff_hours,
    due.min_days_between_runs,
    due.parked_at,
    due.ended_at,
    due.cancel_at_period_end,
    due.min_occurrences,
    due.prepaid_occurrences,
    due.prepaid_occurrences_left,
    ran.came_up,
    ran.made,
    (
        -- The order and the two comparisons leave Postgres one index, also while it takes the table to be empty.
        select count(*)
        from (
            select order_factories.created_at
            from order_factories
            where
                order_factories.store_id = :store
                and order_factories.order_subscription_id >= due.id and order_factories.order_subscription_id <= due.id
                and order_factories.occurrence_id is not null
            order by order_factories.order_subscription_id desc, order_factories.id desc
            limit :fuse
        ) as copies
        where copies.created_at > greatest(:since, due.unparked_at)
    ) as copies_of_a_day
from due
cross join lateral (
    select
        count(*) as came_up,
        count(*) filter (where occurrences.status = 'completed') as made
    from occurrences
    where
        occurrences.store_id = :store
        and occurrences.order_subscription_id = due.id
        and occurrences.occurrence_index > 0
        and occurrences.status in ('due', 'claimed', 'completed')
        and (due.max_occurrences is not null or due.cancel_at_period_end)
) as ran
order by due.next_run_at, due.id;

-- name: advance
-- Subscriptions go on to their next occurrences; those that have none any more have ended. :runs tells how many runs of each
-- were made meanwhile, :succeeded whether one has succeeded; else their payments will tell.
update order_subscriptions
set
    next_index = ahead.next_index,
    next_run_at = ahead.next_run_at,
    ended_at = case when ahead.next_run_at is null then :at::timestamptz end,
    last_run_at = case when ahead.runs > 0 then :at::timestamptz else order_subscriptions.last_run_at end,
    occurrencies = order_subscriptions.occurrencies + ahead.runs,
    succeeded_on_last_run = order_subscriptions.succeeded_on_last_run or ahead.succeeded,
    updated_at = :at,
    version = order_subscriptions.version + 1
from
    unnest(
        :ids::text[], :next_indexes::bigint[], :next_runs::timestamptz[], :runs::bigint[], :succeeded::boolean[]
    ) as ahead (id, next_index, next_run_at, runs, succeeded)
where order_subscriptions.store_id = :store and order_subscriptions.id = ahead.id;

-- name: order_copies
-- Pending copies of occurrences that are due.
with made as (
    insert into order_factories (
        store_id, id, kind, source_order_id, order_subscription_id, occurrence_id, place_target_order, created_at,
        updated_at
    )
    select
        :store as store_id,
        copies.id,
        'recurring_order_copies' as kind,
        order_subscriptions.source_order_id,
        copies.order_subscription_id,
        copies.occurrence_id,
        order_subscriptions.place_target_order,
        :at as created_at,
        :at as updated_at
    from unnest(:ids::text[], :subscriptions::text[], :occurrences::text[]) as copies (id, order_subscription_id, occurrence_id)
    inner join order_subscriptions
        on order_subscriptions.store_id = :store and copies.order_subscription_id = order_subscriptions.id
    returning order_factories.source_order_id
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store as store_id,
    'recurring_order_copies' as collection,
    count(*) as delta,
    array_agg(source.customer_id) as customers
from made
cross join lateral (
    select orders.customer_id
    from orders
    where orders.store_id = :store and orders.id = made.source_order_id
    order by orders.id
    limit 1
    for key share of orders
) as source
having count(*) > 0;

-- name: give_up
-- Held occurrences of these subscriptions, whose next one has come, are missed: nobody agreed to them in time.
update occurrences
set status = 'missed', reason = 'approval', updated_at = :at, version = version + 1
where store_id = :store and order_subscription_id = any(:subscriptions) and status = 'held';

-- name: unordered
-- Occurrences of a subscription that are due, and have no copy that is to be made: somebody agreed to them, or wants to
-- try them again.
select
    id,
    order_subscription_id
from occurrences
where
    store_id = :store
    and order_subscription_id = :subscription
    and status = 'due'
    and not exists(
        select 1 from order_factories
        where
            order_factories.store_id = :store
            and order_factories.occurrence_id = occurrences.id
            and order_factories.status not in ('failed', 'aborted')
    );

-- name: park
-- Takes a subscription out of the schedule until somebody looks at it.
update order_subscriptions
set
    parked_at = :at,
    parked_reason = :reason,
    next_run_at = null,
    updated_at = :at,
    version = version + 1
where store_id = :store and id = :subscription;
