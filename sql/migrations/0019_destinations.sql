-- migrate:up

-- Streams that all events are published to, by their names. One worker at a time publishes, which holds the stream until
-- leased_until. While that fails, error says why, and failing_since since when. All times are real time. The same on every
-- node.
create table destinations (
    name text not null,
    holder text not null,
    leased_until timestamptz(3) not null,
    error text,
    failing_since timestamptz(3),
    constraint destinations_have_unique_names primary key (name),
    constraint destinations_say_why_they_fail check ((error is null) = (failing_since is null))
);

-- How far the events of a store have been published: up to this event of this transaction, of which the stream has said
-- that it keeps them. A store without a row has everything still to be published.
create table destination_cursors (
    store_id bigint not null,
    destination text not null,
    transaction_id bigint not null,
    event_id text collate "C" not null,
    constraint destination_cursors_are_one_per_store primary key (store_id, destination),
    constraint destination_cursors_belong_to_a_store foreign key (store_id) references stores (store_id)
);
