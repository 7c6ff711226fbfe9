-- What is done to a webhook beyond keeping its fields.

-- name: test
-- Gives a webhook the last event that says it was tested, whatever its topics, to be sent at `:at`.
with made as (
    insert into event_callbacks (
        store_id, id, webhook_id, event_id, callback_url, next_attempt_at, created_at, updated_at
    )
    select
        webhooks.store_id,
        events.id || '-' || left(md5(webhooks.id), 12) as id,
        webhooks.id as webhook_id,
        events.id as event_id,
        webhooks.callback_url,
        :at as next_attempt_at,
        :at as created_at,
        :at as updated_at
    from webhooks
    inner join events
        on webhooks.store_id = events.store_id and webhooks.id = events.resource_id
    where
        webhooks.store_id = :store
        and webhooks.id = :webhook
        and events.store_id = :store
        and events.resource_type = 'webhooks'
        and events.name = 'webhooks.test'
    order by events.sequence desc
    limit 1
    returning event_callbacks.id
)

insert into collection_changes (store_id, collection, delta)
select
    :store as store_id,
    'event_callbacks' as collection,
    count(*) as delta
from made
having count(*) > 0;

-- name: number_in
-- How many events of a webhook's topics there are from `:since` on and before `:until`, counted up to `:most`.
select count(*) as number
from (
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
    limit :most
) as found;

-- name: replay
-- Gives a webhook the events of its topics from `:since` on and before `:until` again, under the ids that they had.
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
        on
            webhooks.store_id = events.store_id
            and webhooks.topics && array['*', events.resource_type || '.*', events.name]
    where
        webhooks.store_id = :store
        and webhooks.id = :webhook
        and events.store_id = :store
        and events.created_at >= :since
        and events.created_at < :until
    on conflict (store_id, webhook_id, event_id) do update
    set
        status = 'pending',
        attempts_count = 0,
        delivered_at = null,
        next_attempt_at = excluded.next_attempt_at,
        updated_at = excluded.updated_at,
        version = event_callbacks.version + 1
    returning event_callbacks.version
)

insert into collection_changes (store_id, collection, delta)
select
    :store as store_id,
    'event_callbacks' as collection,
    count(*) as delta
from made
where made.version = 1
having count(*) > 0;

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
