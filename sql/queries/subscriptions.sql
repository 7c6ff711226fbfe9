-- name: order_extra_copy
-- A pending copy of a subscription's source order, outside of the schedule.
insert into order_factories (
    store_id, id, kind, source_order_id, order_subscription_id, place_target_order, created_at, updated_at
)
select
    order_subscriptions.store_id,
    $2 as id,
    'recurring_order_copies' as kind,
    order_subscriptions.source_order_id,
    order_subscriptions.id as order_subscription_id,
    order_subscriptions.place_target_order,
    $4 as created_at,
    $4 as updated_at
from order_subscriptions
where order_subscriptions.store_id = $1 and order_subscriptions.id = $3;

-- name: abort
-- Ends what a cancelled subscription ($2) still has ahead: copies that nobody has begun, whose occurrences with those
-- that were planned are skipped. Gives the copies.
with aborted as (
    update order_factories
    set status = 'aborted', updated_at = $3, version = version + 1
    where store_id = $1 and order_subscription_id = $2 and status = 'pending'
    returning id, occurrence_id
),

left_out as (
    update occurrences
    set status = 'skipped', reason = 'cancelled', updated_at = $3, version = version + 1
    where
        store_id = $1
        and order_subscription_id = $2
        and (
            status in ('planned', 'due', 'held')
            and not exists(
                select 1 from order_factories
                where
                    order_factories.store_id = $1
                    and order_factories.occurrence_id = occurrences.id
                    and order_factories.status = 'in_progress'
            )
        )
)

select id from aborted;

-- name: schedule
-- What the occurrences of a subscription follow from; a customer ($3, null for an integration) finds only own ones.
select
    id,
    status,
    frequency,
    timezone,
    last_day,
    anchor_at,
    anchor_index,
    next_index,
    next_run_at,
    expires_at,
    paused_until,
    max_occurrences,
    catchup_policy
from order_subscriptions
where store_id = $1 and id = $2 and ($3::text is null or customer_id = $3);

-- name: set_next_run
-- When a subscription runs next.
update order_subscriptions
set next_run_at = $3, updated_at = $4, version = version + 1
where store_id = $1 and id = $2;
