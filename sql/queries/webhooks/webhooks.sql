-- What is done to a webhook beyond keeping its fields, and events given to webhooks because somebody asked for it.

-- name: last_test
-- The last event that says that a webhook was tested.
select events.id
from events
where
    events.store_id = :store
    and events.resource_type = 'webhooks'
    and events.resource_id = :webhook
    and events.name = 'webhooks.test'
order by events.sequence desc
limit 1;

-- name: in_range
-- The events of a webhook's topics from `:since` on and before `:until`, at most `:most`.
select events.id
from webhooks
inner join events
    on
        webhooks.store_id = events.store_id
        and webhooks.topics && array['*', events.resource_type || '.*', events.name]
where
    webhooks.store_id = :store
    and webhooks.id = :webhook
    and events.store_id = :store
    and events.created_at >= :since
    and events.created_at < :until
order by events.created_at
limit :most;

-- name: hold_wanting
-- The webhooks that want an event, locked in the order of their ids: those that aren't disabled, and that have its topic.
select webhooks.id
from webhooks
inner join events
    on
        webhooks.store_id = events.store_id
        and webhooks.topics && array['*', events.resource_type || '.*', events.name]
where
    webhooks.store_id = :store
    and webhooks.disabled_at is null
    and events.store_id = :store
    and events.id = :event
order by webhooks.id
for no key update of webhooks;

-- name: give
-- Gives webhooks events whatever their topics, under the ids that these have, and again where they had them: to be sent at
-- `:at`.
with made as (
    insert into event_callbacks (
        store_id, id, webhook_id, event_id, callback_url, next_attempt_at, created_at, updated_at
    )
    select
        :store as store_id,
        events.id || '-' || left(md5(webhooks.id), 12) as id,
        webhooks.id as webhook_id,
        events.id as event_id,
        webhooks.callback_url,
        :at as next_attempt_at,
        :at as created_at,
        :at as updated_at
    from webhooks
    inner join events
        on webhooks.store_id = events.store_id
    where
        webhooks.store_id = :store
        and webhooks.id = any(:webhooks::text[])
        and events.store_id = :store
        and events.id = any(:events::text[])
    on conflict (store_id, id) do update
    set
        status = 'pending',
        attempts_count = 0,
        delivered_at = null,
        next_attempt_at = excluded.next_attempt_at,
        updated_at = excluded.updated_at,
        version = event_callbacks.version + 1
    returning event_callbacks.version
),

woken as (
    update webhooks
    set next_delivery_at = least(webhooks.next_delivery_at, :at)
    where webhooks.store_id = :store and webhooks.id = any(:webhooks::text[])
)

insert into collection_changes (store_id, collection, delta, customers)
select
    include(
        'runtime/counts.more',
        collection => 'event_callbacks',
        delta => select count(*) from made
        where made.version = 1
    );

-- name: wake
-- Has a webhook told what waits for it, the first of it at `:at`.
update webhooks
set next_delivery_at = least(webhooks.next_delivery_at, :at)
where webhooks.store_id = :store and webhooks.id = :webhook;

-- name: hasten
-- Has all that waits for a webhook sent at `:at`.
update event_callbacks
set next_attempt_at = :at
where
    event_callbacks.store_id = :store
    and event_callbacks.webhook_id = :webhook
    and event_callbacks.status = 'pending'
    and event_callbacks.next_attempt_at > :at;
