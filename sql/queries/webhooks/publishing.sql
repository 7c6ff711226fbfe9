-- Events on their way to a stream: who publishes, what is next, and how far it has come.

-- name: known
-- Whether events were ever published to a stream, or were to be.
select exists(
    select 1 from destinations
    where destinations.name = :destination
) as known;

-- name: stores
-- The numbers of all stores, to begin with each of them. A global read.
select stores.store_id
from stores
order by stores.store_id;

-- name: begin
-- Begins to publish a store's events from `:horizon` on, unless that has begun.
insert into destination_cursors (store_id, destination, transaction_id, event_id)
values (:store, :destination, :horizon, '')
on conflict do nothing;

-- name: hold
-- Holds a stream until `:until`, unless another than `:holder` holds it at `:at`, or the database doesn't belong to the
-- installation `:deployment`; returns its name if it is held.
insert into destinations (name, holder, leased_until)
select
    :destination as name,
    :holder as holder,
    :until as leased_until
from deployment
where deployment.id = :deployment
on conflict (name) do update
set
    holder = excluded.holder,
    leased_until = excluded.leased_until
where destinations.holder = excluded.holder or destinations.leased_until <= :at
returning destinations.name;

-- name: let_go
-- Lets go of a stream that `:holder` holds, so that another may hold it at once.
update destinations
set leased_until = :at
where destinations.name = :destination and destinations.holder = :holder;

-- name: fails
-- Notes why nothing can be published to a stream, and since when that is so, also before anybody has held it.
insert into destinations (name, holder, leased_until, error, failing_since)
values (:destination, '', :at, :error, :at)
on conflict (name) do update
set
    error = excluded.error,
    failing_since = coalesce(destinations.failing_since, excluded.failing_since);

-- name: works
-- Notes that a stream takes events again.
update destinations
set
    error = null,
    failing_since = null
where destinations.name = :destination and destinations.failing_since is not null;

-- name: stores_with_news
-- Of all stores: those with events before `:horizon` that weren't published yet. A global read.
select markets.store_id
from markets
left join destination_cursors
    on markets.store_id = destination_cursors.store_id and destination_cursors.destination = :destination
where exists(
    select 1 from events
    where
        events.store_id = markets.store_id
        and (events.transaction_id, events.id) > (
            coalesce(destination_cursors.transaction_id, -9223372036854775808), coalesce(destination_cursors.event_id, '')
        )
        and events.transaction_id < :horizon
)
order by markets.store_id;

-- name: place
-- How far a store's events were published: nothing for a store of which all is to be published.
select
    destination_cursors.transaction_id,
    destination_cursors.event_id
from destination_cursors
where destination_cursors.store_id = :store and destination_cursors.destination = :destination;

-- name: overtaken
-- Of the events that come right before others of their resources, named by `:types`, `:resources` and `:sequences`, those
-- that stand behind the event `:event` of the transaction `:transaction`.
with happened as (
    select include('events/events.happened')
)

select happened.*
from
    unnest(:types::text[], :resources::text[], :sequences::bigint[]) as named (
        resource_type, resource_id, sequence
    )
inner join happened
    on
        named.resource_type = happened.resource_type
        and named.resource_id = happened.resource_id
        and named.sequence = happened.sequence
where (happened.transaction_id, happened.id) > (:transaction::bigint, :event::text collate "C");

-- name: pass
-- Notes that a store's events have been published up to the event `:event` of the transaction `:transaction`; never back.
insert into destination_cursors (store_id, destination, transaction_id, event_id)
values (:store, :destination, :transaction, :event)
on conflict (store_id, destination) do update
set
    transaction_id = excluded.transaction_id,
    event_id = excluded.event_id
where
    (destination_cursors.transaction_id, destination_cursors.event_id)
    < (excluded.transaction_id, excluded.event_id);

-- name: standing
-- How publishing to a stream stands, of all stores: how many events wait, counted up to `:most` of each store, the first
-- of them, and why nothing can be published and since when, if nothing can. A global read.
with waiting as (
    select
        (
            select count(*)
            from (
                select events.id from events
                where
                    events.store_id = markets.store_id
                    and (events.transaction_id, events.id) > (
                        coalesce(destination_cursors.transaction_id, -9223372036854775808),
                        coalesce(destination_cursors.event_id, '')
                    )
                order by events.transaction_id, events.id
                limit :most
            ) as counted
        ) as number,
        (
            select events.id from events
            where
                events.store_id = markets.store_id
                and (events.transaction_id, events.id) > (
                    coalesce(destination_cursors.transaction_id, -9223372036854775808),
                    coalesce(destination_cursors.event_id, '')
                )
            order by events.transaction_id, events.id
            limit 1
        ) as first_id
    from markets
    left join destination_cursors
        on markets.store_id = destination_cursors.store_id and destination_cursors.destination = :destination
),

summed as (
    select
        coalesce(sum(waiting.number), 0)::bigint as number,
        min(waiting.first_id) as first_id
    from waiting
)

select
    summed.number as waiting,
    summed.first_id,
    destinations.error,
    destinations.failing_since
from summed
left join destinations
    on destinations.name = :destination;
