-- migrate:up

-- What happened, and who is told.

-- What happened to a resource, written in the transaction of its cause and never changed: the outbox. sequence
-- numbers the events of one resource. The resource may be gone, so it is no foreign key.
create table events (
    store_id bigint not null,
    id text collate "C" not null,
    name text not null,
    resource_type text not null,
    resource_id text collate "C" not null,
    sequence bigint not null,
    payload jsonb not null default '{}',
    actor_type text,
    actor_id text,
    request_id text,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint events_have_unique_ids primary key (store_id, id),
    constraint one_event_per_sequence unique (store_id, resource_type, resource_id, sequence),
    constraint events_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint events_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint events_have_a_topic_as_name check (name ~ '^[a-z][a-z_]*[.][a-z][a-z_]*$'),
    constraint events_count_from_one check (sequence > 0),
    constraint events_have_an_object_as_payload check (jsonb_typeof(payload) = 'object')
);

-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index events_by_created_at on events (store_id, created_at, id);

-- Who is told of a topic. While a secret is being replaced, the previous one signs as well. The circuit opens
-- when too many deliveries in a row have failed.
create table webhooks (
    store_id bigint not null,
    id text collate "C" not null,
    name text,
    topic text not null,
    callback_url text not null,
    include_resources text[] not null default '{}',
    shared_secret text not null,
    previous_secret text,
    previous_secret_expires_at timestamptz(3),
    circuit_state text not null default 'closed',
    circuit_failure_count bigint not null default 0,
    disabled_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint webhooks_have_unique_ids primary key (store_id, id),
    constraint webhooks_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint webhooks_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint webhooks_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint webhooks_have_a_known_circuit_state check (circuit_state in ('closed', 'open')),
    constraint webhooks_have_no_negative_count check (circuit_failure_count >= 0),
    constraint webhooks_let_a_previous_secret_expire check (
        (previous_secret is null) = (previous_secret_expires_at is null)
    )
);


-- One delivery of an event to a webhook: what was sent and what came back.
create table event_callbacks (
    store_id bigint not null,
    id text collate "C" not null,
    webhook_id text collate "C" not null,
    event_id text collate "C" not null,
    callback_url text not null,
    payload jsonb not null,
    response_code text,
    response_message text,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint event_callbacks_have_unique_ids primary key (store_id, id),
    constraint event_callbacks_belong_to_a_webhook foreign key (store_id, webhook_id)
    references webhooks (store_id, id) on delete cascade,
    constraint event_callbacks_tell_of_a_known_event foreign key (store_id, event_id)
    references events (store_id, id),
    constraint event_callbacks_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint event_callbacks_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object')
);

-- For a webhook's own.
create index event_callbacks_by_webhook_id on event_callbacks (store_id, webhook_id, id);
-- For an event's own.
create index event_callbacks_by_event_id on event_callbacks (store_id, event_id, id);
