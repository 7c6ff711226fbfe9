-- Events on their way to webhooks: from the outbox to deliveries, and from there to their receivers.

-- name: stores_with_news
-- Of all stores: those with events before `:horizon` that no webhook was given yet, if the database belongs to the
-- installation `:deployment`. A global read.
select event_cursors.store_id
from event_cursors
where
    exists(
        select 1 from deployment
        where deployment.id = :deployment
    )
    and exists(
        select 1 from events
        where
            events.store_id = event_cursors.store_id
            and (events.transaction_id, events.id) > (event_cursors.transaction_id, event_cursors.event_id)
            and events.transaction_id < :horizon
    );

-- name: stores_ahead
-- Of all stores: those with events of transactions from `:ahead` on, and the last of these transactions, as a server has them
-- that was filled from the dump of another. A global read.
select
    found.store_id,
    found.transaction_id
from (
    select
        markets.store_id,
        (
            select max(events.transaction_id) from events
            where
                events.store_id = markets.store_id
                and events.transaction_id >= :ahead
        ) as transaction_id
    from markets
) as found
where found.transaction_id is not null;

-- name: put_back
-- Puts a store's events of another server's transactions before all of this one's, in their order, and with them how far
-- they were given to webhooks and published. They are those up to the last of a transaction from `:ahead` on.
with latest as materialized (
    select
        max(events.transaction_id) as transaction_id,
        max(events.id) as id
    from events
    where
        events.store_id = :store
        and events.transaction_id >= :ahead
),

moved as (
    update event_cursors
    set transaction_id = event_cursors.transaction_id - latest.transaction_id - 1
    from latest
    where event_cursors.store_id = :store and latest.transaction_id is not null
),

published as (
    update destination_cursors
    set transaction_id = destination_cursors.transaction_id - latest.transaction_id - 1
    from latest
    where destination_cursors.store_id = :store and latest.transaction_id is not null
)

update events
set transaction_id = events.transaction_id - latest.transaction_id - 1
from latest
where events.store_id = :store and events.id <= latest.id;

-- name: begin
-- Begins to give a store's events to its webhooks, from `:horizon` on, unless that has begun.
insert into event_cursors (store_id, transaction_id, event_id)
values (:store, :horizon, '')
on conflict do nothing;

-- name: fan_out
-- Gives the next events of a store before `:horizon` to its webhooks, at most `:most` events, and returns how many they
-- were. A delivery's id begins with the event's, so that both have one order. Webhooks are locked before their
-- deliveries, in the order of their ids, by whoever locks several.
with reader as materialized (
    select
        event_cursors.transaction_id,
        event_cursors.event_id
    from event_cursors
    where event_cursors.store_id = :store
    for no key update
),

news as materialized (
    select
        include(
            'events/events.after',
            transaction => select reader.transaction_id from reader,
            event => select reader.event_id from reader
        )
),

wanting as materialized (
    select
        webhooks.id,
        webhooks.topics,
        webhooks.callback_url,
        webhooks.created_at
    from webhooks
    where
        webhooks.store_id = :store
        and webhooks.disabled_at is null
        and webhooks.topics && array(
            select unnest(array['*', news.resource_type || '.*', news.topic])
            from news
        )
    order by webhooks.id
    for no key update
),

made as (
    insert into event_callbacks (
        store_id, id, webhook_id, event_id, callback_url, next_attempt_at, created_at, updated_at
    )
    select
        :store as store_id,
        news.id || '-' || left(md5(wanting.id), 12) as id,
        wanting.id as webhook_id,
        news.id as event_id,
        wanting.callback_url,
        :at as next_attempt_at,
        :at as created_at,
        :at as updated_at
    from wanting
    inner join news
        on
            wanting.topics && array['*', news.resource_type || '.*', news.topic]
            and wanting.created_at <= news.created_at
    on conflict do nothing
    returning event_callbacks.webhook_id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'event_callbacks', delta => select count(*) from made)
),

woken as (
    update webhooks
    set next_delivery_at = least(webhooks.next_delivery_at, :at)
    where webhooks.store_id = :store and webhooks.id in (select made.webhook_id from made)
),

passed as (
    update event_cursors
    set
        transaction_id = latest.transaction_id,
        event_id = latest.id
    from (
        select
            news.transaction_id,
            news.id
        from news
        order by news.transaction_id desc, news.id desc
        limit 1
    ) as latest
    where event_cursors.store_id = :store
)

select count(*) as number from news;

-- name: due
-- Of all stores: webhooks that are to be told something at `:at` and that nobody tells, at most `:most`, those first that
-- have waited longest, if the database belongs to the installation `:deployment`. A global read.
select
    webhooks.store_id,
    webhooks.id
from webhooks
where
    exists(
        select 1 from deployment
        where deployment.id = :deployment
    )
    and webhooks.next_delivery_at <= :at
    and webhooks.disabled_at is null
    and webhooks.circuit_state = 'closed'
    and coalesce(webhooks.leased_until <= :at, true)
order by webhooks.next_delivery_at
limit :most;

-- name: hold
-- Holds a webhook until `:until`, if it is to be told something at `:at` and nobody tells it; returns how.
update webhooks
set leased_until = :until
where
    webhooks.store_id = :store
    and webhooks.id = :webhook
    and webhooks.next_delivery_at <= :at
    and webhooks.disabled_at is null
    and webhooks.circuit_state = 'closed'
    and coalesce(webhooks.leased_until <= :at, true)
returning
    webhooks.id,
    webhooks.shared_secret,
    case when webhooks.previous_secret_expires_at > :at then webhooks.previous_secret end as previous_secret,
    webhooks.include_resources,
    webhooks.payload,
    webhooks.ordered,
    webhooks.leased_until;

-- name: take_up
-- Counts a further attempt of a webhook's deliveries whose time has come, at most `:most`, and returns them. Where they are
-- `:ordered`, none whose resource has an earlier event that still waits, or that no webhook was given yet.
with taken as materialized (
    select event_callbacks.id
    from event_callbacks
    inner join events on event_callbacks.store_id = events.store_id and event_callbacks.event_id = events.id
    where
        event_callbacks.store_id = :store
        and event_callbacks.webhook_id = :webhook
        and event_callbacks.status = 'pending'
        and event_callbacks.next_attempt_at <= :at
        and (
            not :ordered::boolean
            or not exists(
                select 1
                from events as earlier
                left join event_callbacks as waiting
                    on
                        earlier.store_id = waiting.store_id
                        and earlier.id = waiting.event_id
                        and waiting.webhook_id = :webhook
                        and waiting.status = 'pending'
                left join event_cursors on earlier.store_id = event_cursors.store_id
                where
                    earlier.store_id = :store
                    and earlier.resource_type = events.resource_type
                    and earlier.resource_id = events.resource_id
                    and earlier.sequence < events.sequence
                    and (
                        waiting.id is not null
                        or (earlier.transaction_id, earlier.id) > (event_cursors.transaction_id, event_cursors.event_id)
                    )
            )
        )
    order by event_callbacks.next_attempt_at, event_callbacks.id
    limit :most
)

update event_callbacks
set
    attempts_count = event_callbacks.attempts_count + 1,
    callback_url = webhooks.callback_url,
    last_attempt_at = :at
from taken, (select include('events/events.happened')) as happened, webhooks
where
    event_callbacks.store_id = :store
    and event_callbacks.id = taken.id
    and happened.id = event_callbacks.event_id
    and webhooks.store_id = :store
    and webhooks.id = event_callbacks.webhook_id
returning
    event_callbacks.id,
    event_callbacks.attempts_count as attempt,
    webhooks.callback_url,
    event_callbacks.payload::text as payload,
    happened.*;

-- name: settle_payloads
-- Settles what deliveries send that have been sent nothing yet, and whom it names, a blank between two of them; returns
-- what is sent by their ids, as Postgres writes it. What another has settled meanwhile stays: a webhook falls to them whose
-- holder stood still for longer than its lease.
update event_callbacks
set
    payload = coalesce(event_callbacks.payload, given.payload),
    people = case
        when event_callbacks.payload is null then nullif(string_to_array(given.people, ' '), '{}')
        else event_callbacks.people
    end
from unnest(:ids::text[], :payloads::jsonb[], :people::text[]) as given (id, payload, people)
where event_callbacks.store_id = :store and event_callbacks.id = given.id
returning
    event_callbacks.id,
    event_callbacks.payload::text as payload;

-- name: note
-- Notes what came of deliveries, each of this very attempt: of an earlier one nobody is told any more.
update event_callbacks
set
    status = given.status,
    response_code = given.response_code,
    response_message = given.response_message,
    next_attempt_at = given.next_attempt_at,
    delivered_at = case when given.status = 'delivered' then :at::timestamptz end,
    updated_at = :at,
    version = event_callbacks.version + 1
from
    unnest(
        :ids::text[],
        :attempts::bigint[],
        :statuses::text[],
        :codes::text[],
        :messages::text[],
        :next::timestamptz[]
    ) as given (id, attempt, status, response_code, response_message, next_attempt_at)
where
    event_callbacks.store_id = :store
    and event_callbacks.id = given.id
    and event_callbacks.attempts_count = given.attempt
    and event_callbacks.status = 'pending';

-- name: put_down
-- Takes back attempts of deliveries that were counted, and not made.
update event_callbacks
set
    attempts_count = event_callbacks.attempts_count - 1,
    last_attempt_at = case when event_callbacks.attempts_count > 1 then event_callbacks.last_attempt_at end
from unnest(:ids::text[], :attempts::bigint[]) as given (id, attempt)
where
    event_callbacks.store_id = :store
    and event_callbacks.id = given.id
    and event_callbacks.attempts_count = given.attempt
    and event_callbacks.status = 'pending';

-- name: lock
-- How a webhook stands, locked, so that what it is to be told next can be looked up without passing over what is new.
select
    webhooks.circuit_state,
    webhooks.circuit_failure_count,
    webhooks.health,
    webhooks.health_since,
    webhooks.disabled_at
from webhooks
where webhooks.store_id = :store and webhooks.id = :webhook
for no key update;

-- name: let_go
-- Lets go of a webhook, unless it is held by another than who did so until `:held`, with how it stands now, and why unless
-- that `:keeps`; it is told again when the first of what waits is to be sent. What clients have read of it stays current,
-- unless it was `:stopped`.
update webhooks
set
    circuit_state = :circuit,
    circuit_failure_count = :failures,
    health = :health,
    health_reason = case when :keeps::boolean then webhooks.health_reason else :reason end,
    health_since = :since,
    disabled_at = :disabled,
    leased_until = case when webhooks.leased_until <> :held::timestamptz then webhooks.leased_until end,
    next_delivery_at = (
        select min(event_callbacks.next_attempt_at)
        from event_callbacks
        where
            event_callbacks.store_id = :store
            and event_callbacks.webhook_id = :webhook
            and event_callbacks.status = 'pending'
    ),
    updated_at = case when :stopped::boolean then :at::timestamptz else webhooks.updated_at end,
    version = webhooks.version + :stopped::boolean::integer
where webhooks.store_id = :store and webhooks.id = :webhook;

-- name: stores_within
-- Of all stores: those with deliveries of events from `:first` on and before `:until`, ids. A global read.
select markets.store_id
from markets
where exists(
    select 1 from event_callbacks
    where
        event_callbacks.store_id = markets.store_id
        and event_callbacks.id >= :first
        and event_callbacks.id < :until
);

-- name: count_out
-- Counts a store's deliveries of events from `:first` on and before `:until`, ids, as deleted; returns whether any of them
-- waits for something, or was made at `:before` or later.
with month as materialized (
    select
        count(*) as number,
        bool_or(event_callbacks.status = 'pending' or event_callbacks.created_at >= :before) as stays
    from event_callbacks
    where
        event_callbacks.store_id = :store
        and event_callbacks.id >= :first
        and event_callbacks.id < :until
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'event_callbacks', delta => select -month.number from month)
)

select coalesce(month.stays, false) as stays from month;

-- name: delete_past
-- Deletes a store's deliveries from before `:before`, of events from before `:until`, an id, that wait for nothing, at most
-- `:most` of them; returns how many.
with gone as (
    delete from event_callbacks
    where
        event_callbacks.store_id = :store
        and event_callbacks.id in (
            select past.id
            from event_callbacks as past
            where
                past.store_id = :store
                and past.created_at < :before
                and past.id < :until
                and past.status <> 'pending'
            order by past.created_at
            limit :most
        )
    returning event_callbacks.id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'event_callbacks', delta => select -count(*) from gone)
)

select count(*) as number from gone;

-- name: stores_with_past
-- Of all stores: those with deliveries from before `:before`, of events from before `:until`, an id, that wait for nothing.
-- A global read.
select event_cursors.store_id
from event_cursors
where exists(
    select 1 from event_callbacks
    where
        event_callbacks.store_id = event_cursors.store_id
        and event_callbacks.created_at < :before
        and event_callbacks.id < :until
        and event_callbacks.status <> 'pending'
);

-- name: standing
-- How deliveries of all stores stand, in sums: how many wait, since when the first of them could have been sent, and of
-- how many webhooks the circuit is open. A global read.
with waiting as (
    select
        count(*) as number,
        min(event_callbacks.next_attempt_at) as since
    from event_callbacks
    inner join webhooks
        on event_callbacks.store_id = webhooks.store_id and event_callbacks.webhook_id = webhooks.id
    where
        event_callbacks.status = 'pending'
        and webhooks.disabled_at is null
        and webhooks.circuit_state = 'closed'
),

stopped as (
    select count(*) as number
    from webhooks
    where webhooks.circuit_state = 'open'
)

select
    waiting.number as waiting,
    waiting.since,
    stopped.number as stopped
from waiting
cross join stopped;
