-- migrate:up

-- What happened, and who is told.

-- What happened to a resource, written in the transaction of its cause and never changed: the outbox. sequence
-- numbers the events of one resource. The resource may be gone, so it is no foreign key. transaction_id is the
-- transaction that wrote it: a reader who goes on from one to the next stops before those that may still commit.
-- Events are the audit trail too: token_id, api_client_id and address say by what credential, and from where, the request
-- came that caused it. Append-only: who serves requests can insert rows, and change only what erasing a person empties.
create table events (
    store_id bigint not null,
    id text collate "C" not null,
    name text not null,
    resource_type text not null,
    resource_id text collate "C" not null,
    sequence bigint not null,
    transaction_id bigint not null
    default coalesce(nullif(current_setting('reprise.transaction_id', true), ''), pg_current_xact_id()::text)::bigint,
    payload jsonb not null default '{}',
    changes jsonb not null default '{}',
    actor_type text,
    actor_id text,
    request_id text,
    token_id text collate "C",
    api_client_id text collate "C",
    address text,
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
    constraint events_have_an_object_as_payload check (jsonb_typeof(payload) = 'object'),
    constraint events_have_an_object_as_changes check (jsonb_typeof(changes) = 'object')
);

-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index events_by_created_at on events (store_id, created_at, id);
-- For readers who go on from where they were, such as the dispatcher of webhooks.
create index events_by_transaction_id on events (store_id, transaction_id, id);

-- The last number of those resources whose events were deleted, since a store keeps events only for a while: their next
-- event is numbered after it.
create table event_numbers (
    store_id bigint not null,
    resource_type text not null,
    resource_id text collate "C" not null,
    sequence bigint not null,
    constraint event_numbers_are_one_per_resource primary key (store_id, resource_type, resource_id),
    constraint event_numbers_belong_to_a_store foreign key (store_id) references stores (store_id)
);

-- Who is told of which topics. topic is the first of them. While a secret is being replaced, the previous one signs as
-- well. The circuit opens when too many deliveries in a row have failed. next_delivery_at is the first instant at which
-- something is to be delivered, real time; who delivers holds the webhook until leased_until.
create table webhooks (
    store_id bigint not null,
    id text collate "C" not null,
    name text,
    topic text not null,
    topics text[] not null,
    callback_url text not null,
    include_resources text[] not null default '{}',
    payload text not null default 'full',
    ordered boolean not null default false,
    shared_secret text not null,
    previous_secret text,
    previous_secret_expires_at timestamptz(3),
    circuit_state text not null default 'closed',
    circuit_failure_count bigint not null default 0,
    health text not null default 'healthy',
    health_reason text,
    health_since timestamptz(3) not null,
    disabled_at timestamptz(3),
    next_delivery_at timestamptz(3),
    leased_until timestamptz(3),
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
    constraint webhooks_begin_with_their_topic check (topic = topics[1]),
    constraint webhooks_have_a_known_payload check (payload in ('full', 'thin')),
    constraint webhooks_have_a_known_circuit_state check (circuit_state in ('closed', 'open')),
    constraint webhooks_have_no_negative_count check (circuit_failure_count >= 0),
    constraint webhooks_have_a_known_health check (health in ('healthy', 'failing', 'stopped', 'disabled')),
    constraint webhooks_let_a_previous_secret_expire check (
        (previous_secret is null) = (previous_secret_expires_at is null)
    )
);

-- For the look of every worker at what is to be delivered, in all stores.
create index webhooks_by_next_delivery_at on webhooks (next_delivery_at)
where next_delivery_at is not null and disabled_at is null and circuit_state = 'closed';

-- How far the events of a store have been given to its webhooks: up to this event of this transaction.
create table event_cursors (
    store_id bigint not null,
    transaction_id bigint not null,
    event_id text collate "C" not null,
    constraint event_cursors_are_one_per_store primary key (store_id),
    constraint event_cursors_belong_to_a_store foreign key (store_id) references stores (store_id)
);

-- One delivery of an event to a webhook: what is sent, how often that was tried, and what came back last. What is sent
-- is settled at the first attempt, and stays the same; people are the ids of customers and the e-mail addresses in it. Its
-- times are real time, whatever clock its store keeps. Its id is that of its event and a digest of its webhook's, so that
-- there is one of both, and that ids follow the time of events: each month has a partition, which is emptied at once when
-- its time is over. What has none is in the last.
create table event_callbacks (
    store_id bigint not null,
    id text collate "C" not null,
    webhook_id text collate "C" not null,
    event_id text collate "C" not null,
    callback_url text not null,
    payload jsonb,
    people text[],
    status text not null default 'pending',
    attempts_count bigint not null default 0,
    last_attempt_at timestamptz(3),
    next_attempt_at timestamptz(3),
    delivered_at timestamptz(3),
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
    constraint event_callbacks_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint event_callbacks_have_a_known_status check (status in ('pending', 'delivered', 'failed')),
    constraint event_callbacks_that_wait_have_an_attempt_ahead check (
        (status = 'pending') = (next_attempt_at is not null)
    ),
    constraint event_callbacks_that_are_delivered_say_when check ((status = 'delivered') = (delivered_at is not null))
) partition by range (id);

create table event_callbacks_of_no_month partition of event_callbacks default
with (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- For a webhook's own, the newest first.
create index event_callbacks_by_webhook_id on event_callbacks (store_id, webhook_id, id);
-- For an event's own, and the webhooks that are told of it.
create index event_callbacks_by_event_id on event_callbacks (store_id, event_id, webhook_id);
-- For lists by date, and for deleting those whose time is over.
create index event_callbacks_by_created_at on event_callbacks (store_id, created_at, id);
-- For erasing a person: what was sent that names them.
create index event_callbacks_by_people on event_callbacks using gin (people) where people is not null;
-- For what a webhook is to be told next.
create index event_callbacks_by_next_attempt_at on event_callbacks (store_id, webhook_id, next_attempt_at, id)
where status = 'pending';
