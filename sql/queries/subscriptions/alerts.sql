-- Alerts of renewals: the runs to come that subscribers are told of.

-- name: due
-- At most $3 subscriptions of a store whose next run is to be announced at $2, or looked at again, locked; those that
-- somebody else holds are left to them. The occurrence is null where it has no row yet.
select
    order_subscriptions.id,
    order_subscriptions.next_run_at,
    order_subscriptions.alerted_run_at,
    order_subscriptions.alerted_amount_cents,
    occurrences.id as occurrence_id
from order_subscriptions
left join occurrences
    on
        order_subscriptions.store_id = occurrences.store_id
        and order_subscriptions.id = occurrences.order_subscription_id
        and order_subscriptions.next_index <= occurrences.occurrence_index
        and order_subscriptions.next_run_at = occurrences.scheduled_at
        and occurrences.status = 'planned'
where
    order_subscriptions.store_id = $1
    and order_subscriptions.status = 'active'
    and order_subscriptions.next_alert_at <= $2
    and order_subscriptions.next_run_at > $2
order by order_subscriptions.next_alert_at, order_subscriptions.id
limit $3
for no key update of order_subscriptions skip locked;

-- name: note
-- Of which run of each subscription ($2) an alert told ($3), at what total ($4), and when to look at that again ($5).
update order_subscriptions
set
    alerted_run_at = looked.run_at,
    alerted_amount_cents = looked.amount_cents,
    alert_again_at = looked.again_at
from unnest($2::text[], $3::timestamptz[], $4::bigint[], $5::timestamptz[]) as looked (
    id, run_at, amount_cents, again_at
)
where order_subscriptions.store_id = $1 and order_subscriptions.id = looked.id;

-- name: announce
-- Occurrences were announced at $3.
update occurrences
set alerted_at = $3, updated_at = $3, version = version + 1
where store_id = $1 and id = any($2::text[]);
