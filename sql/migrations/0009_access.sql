-- migrate:up

-- Who may ask, how often, and what was answered already.

-- A credential. Only its SHA-256 is kept, and its last four characters as a hint for people.
create table access_tokens (
    store_id bigint not null,
    id text collate "C" not null,
    kind text not null,
    name text,
    customer_id text collate "C",
    hash bytea not null,
    hint text not null,
    scopes text[] not null default '{}',
    expires_at timestamptz(3),
    revoked_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint access_tokens_have_unique_ids primary key (store_id, id),
    constraint one_access_token_per_hash unique (store_id, hash),
    constraint access_tokens_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint access_tokens_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id),
    constraint access_tokens_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint access_tokens_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint access_tokens_have_a_known_kind check (kind in ('integration', 'customer')),
    constraint access_tokens_of_customers_name_the_customer check ((kind = 'customer') = (customer_id is not null)),
    constraint access_tokens_are_kept_as_a_hash check (octet_length(hash) = 32),
    constraint access_tokens_hint_at_no_more_than_four_characters check (length(hint) <= 4)
);

-- For whose they are: `customer_id_eq`, a customer's own reads, erasing.
create index access_tokens_by_customer_id on access_tokens (store_id, customer_id, id) where customer_id is not null;

-- The answer to an unsafe request, under the key its client gave it; written in the transaction of the effect.
-- Deleted in batches once expired.
create table idempotency_keys (
    store_id bigint not null,
    principal text collate "C" not null,
    key text collate "C" not null,
    fingerprint bytea not null,
    status bigint not null,
    headers jsonb not null default '{}',
    body bytea,
    created_at timestamptz(3) not null,
    expires_at timestamptz(3) not null,
    constraint one_answer_per_idempotency_key primary key (store_id, principal, key),
    constraint idempotency_keys_keep_only_success check (status between 200 and 299),
    constraint idempotency_keys_have_an_object_as_headers check (jsonb_typeof(headers) = 'object'),
    constraint idempotency_keys_expire_after_they_were_made check (expires_at > created_at)
);

-- For the worker, which cleans up.
create index idempotency_keys_by_expires_at on idempotency_keys (store_id, expires_at);

-- Hits per window of a limited key. Unlogged: after a crash everybody starts with a fresh window. The store is
-- not checked, as guesses at unknown stores count too.
create unlogged table rate_limits (
    store_id bigint not null,
    key text collate "C" not null,
    started_at timestamptz(3) not null,
    expires_at timestamptz(3) not null,
    hits bigint not null,
    constraint one_window_per_rate_limit primary key (store_id, key),
    constraint rate_limits_expire_after_they_start check (expires_at > started_at),
    constraint rate_limits_have_no_negative_hits check (hits >= 0)
);

-- For the worker, which cleans up.
create index rate_limits_by_expires_at on rate_limits (store_id, expires_at);

-- Which deployment this database belongs to, at most one row: a worker of another deployment, say on a restored
-- copy, refuses to run what is due. The one table without a store.
create table deployments (
    id text collate "C" not null,
    pinned_at timestamptz(3) not null,
    constraint deployments_have_unique_ids primary key (id)
);

create unique index one_deployment_per_database on deployments ((true));
