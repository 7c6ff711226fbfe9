-- migrate:up

-- What a shop brings in.

-- An import: of files, known by their fingerprint, or of inputs that a client sent. processed_count is how many records it
-- has come to, counted over all of its files: where it goes on once it was interrupted. The counts of what became of
-- them add up to it; counts_by_type has the same for each type that records named.
create table imports (
    store_id bigint not null,
    id text collate "C" not null,
    resource_type text,
    format text not null default 'json',
    status text not null default 'pending',
    on_conflict text not null default 'refuse',
    fingerprint text,
    inputs jsonb,
    inputs_size bigint not null default 0,
    processed_count bigint not null default 0,
    created_count bigint not null default 0,
    updated_count bigint not null default 0,
    unchanged_count bigint not null default 0,
    skipped_count bigint not null default 0,
    errors_count bigint not null default 0,
    counts_by_type jsonb not null default '{}',
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
    constraint imports_have_unique_ids primary key (store_id, id),
    constraint imports_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint imports_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint imports_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint imports_have_a_known_format check (format in ('json', 'csv')),
    constraint imports_have_a_known_status check (status in ('pending', 'in_progress', 'interrupted', 'completed')),
    constraint imports_have_a_known_on_conflict check (on_conflict in ('refuse', 'skip', 'update')),
    constraint imports_have_a_list_a_text_or_something_sealed_as_inputs check (
        jsonb_typeof(inputs) in ('array', 'string', 'object')
    ),
    constraint imports_note_when_they_were_completed check ((status = 'completed') = (completed_at is not null))
);

-- For the worker, which takes up what was left behind.
create index imports_to_be_brought_in on imports (created_at, id) where inputs is not null;
-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index imports_by_created_at on imports (store_id, created_at, id);
-- For going on with the import of a file.
create unique index one_unfinished_import_per_fingerprint on imports (store_id, fingerprint)
where status = 'in_progress' and fingerprint is not null;
