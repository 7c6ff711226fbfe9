-- migrate:up

-- Whether a client of an import wants it to go on whatever is refused, which it does anyway.
alter table imports add column skip_errors boolean not null default false;

-- What a shop takes out.

-- An export: what is wanted, how far it has come, and until when its file can be fetched. attempt is raised by each worker
-- that takes it up, and by whoever has it begin anew: what an earlier one still writes is refused.
create table exports (
    store_id bigint not null,
    id text collate "C" not null,
    resource_type text,
    format text not null default 'json',
    status text not null default 'pending',
    includes text[],
    fields text[],
    filters jsonb,
    dry_data boolean not null default false,
    jwt_filters boolean not null default false,
    customer_id text,
    attempt bigint not null default 0,
    records_count bigint not null default 0,
    processed_count bigint not null default 0,
    attachment_size bigint not null default 0,
    attachment_expires_at timestamptz(3),
    errors_log jsonb,
    started_at timestamptz(3),
    completed_at timestamptz(3),
    interrupted_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint exports_have_unique_ids primary key (store_id, id),
    constraint exports_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint exports_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint exports_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint exports_have_a_known_format check (format in ('json', 'csv')),
    constraint exports_have_a_known_status check (
        status in ('pending', 'in_progress', 'interrupted', 'completed', 'failed')
    ),
    constraint exports_note_when_they_were_completed check ((status = 'completed') = (completed_at is not null))
);

-- For the worker, which takes up what was left behind.
create index exports_to_be_written on exports (created_at, id) where status in ('pending', 'in_progress');
-- For the worker, which deletes files whose time is over.
create index exports_with_a_file on exports (attachment_expires_at) where attachment_size > 0;
-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index exports_by_created_at on exports (store_id, created_at, id);

-- The file of an export, in pieces that are read one after the other. Each is sealed; first_byte and size are those of the
-- piece once it is opened.
create table export_chunks (
    store_id bigint not null,
    id text collate "C" not null,
    export_id text collate "C" not null,
    attempt bigint not null,
    first_byte bigint not null,
    size bigint not null,
    data text not null,
    constraint export_chunks_have_unique_ids primary key (store_id, id),
    constraint export_chunks_belong_to_an_export foreign key (store_id, export_id)
    references exports (store_id, id) on delete cascade,
    constraint export_chunks_are_not_too_long check (size between 1 and 262144)
);

-- For reading a file from any byte on.
create unique index export_chunks_in_their_order on export_chunks (store_id, export_id, attempt, first_byte);
