-- Alerts of renewals: the runs to come that subscribers are told of.

-- name: due_ids
-- At most `:most` subscriptions of a store whose next run is to be announced, or looked at again, since `:since` and by `:at`.
select order_subscriptions.id
from order_subscriptions
where
    order_subscriptions.store_id = :store
    and order_subscriptions.status = 'active'
    and order_subscriptions.next_alert_at > :since
    and order_subscriptions.next_alert_at <= :at
    and order_subscriptions.next_run_at > :at
order by order_subscriptions.next_alert_at, order_subscriptions.next_run_at, order_subscriptions.id
limit :most;

-- name: due
-- At most `:most` subscriptions of a store whose next run is to be announced, or looked at again, since `:since` and by `:at`,
-- or `:only` this one, locked; those that somebody else holds are left to them. The occurrence is null where it has no row yet.
-- Runs that are due and not made yet are passed over in the index, which holds when they are.
with due as materialized (
    select
        order_subscriptions.id,
        order_subscriptions.next_run_at,
        order_subscriptions.alerted_run_at,
        order_subscriptions.alerted_amount_cents,
        order_subscriptions.next_index,
        order_subscriptions.next_alert_at
    from order_subscriptions
    where
        order_subscriptions.store_id = :store
        and order_subscriptions.status = 'active'
        and order_subscriptions.next_alert_at > :since
        and order_subscriptions.next_alert_at <= :at
        and order_subscriptions.next_run_at > :at
        and (:only::text is null or order_subscriptions.id = :only)
    order by order_subscriptions.next_alert_at, order_subscriptions.next_run_at, order_subscriptions.id
    limit :most
    for no key update skip locked
)

select
    due.id,
    due.next_run_at,
    due.alerted_run_at,
    due.alerted_amount_cents,
    coming.id as occurrence_id,
    coalesce(coming.occurrence_index, due.next_index) as occurrence_index
from due
left join lateral (
    select
        occurrences.id,
        occurrences.occurrence_index,
        occurrences.scheduled_at,
        occurrences.status
    from occurrences
    where
        occurrences.store_id = :store and occurrences.order_subscription_id = due.id
        and occurrences.occurrence_index >= due.next_index
    order by occurrences.occurrence_index
) as coming
    on due.next_run_at = coming.scheduled_at and coming.status = 'planned'
order by due.next_alert_at, due.next_run_at, due.id;

-- name: note
-- Of which run of each subscription an alert told, at what total, and when to look at that again.
update order_subscriptions
set
    alerted_run_at = looked.run_at,
    alerted_amount_cents = looked.amount_cents,
    alert_again_at = looked.again_at
from unnest(:subscriptions::text[], :runs::timestamptz[], :amounts::bigint[], :again::timestamptz[]) as looked (
    id, run_at, amount_cents, again_at
)
where order_subscriptions.store_id = :store and order_subscriptions.id = looked.id;

-- name: announce
-- Occurrences were announced at `:at`.
update occurrences
set alerted_at = :at, updated_at = :at, version = version + 1
where store_id = :store and id = any(:occurrences::text[]);
