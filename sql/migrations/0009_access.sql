-- migrate:up

-- Who may ask, how often, and what was answered already.

-- Programs that fetch their own tokens. Of a client's secret only the SHA-256 is kept. While it is being replaced, the one
-- before works on.
create table api_clients (
    store_id bigint not null,
    id text collate "C" not null,
    client_id text collate "C" not null,
    kind text not null,
    name text not null,
    scopes text[] not null default '{}',
    hash bytea not null,
    previous_hash bytea,
    previous_secret_expires_at timestamptz(3),
    revoked_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint api_clients_have_unique_ids primary key (store_id, id),
    constraint one_api_client_per_client_id unique (store_id, client_id),
    constraint api_clients_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint api_clients_have_a_plain_id check (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    constraint api_clients_have_a_name check (name <> ''),
    constraint api_clients_have_a_known_kind check (kind in ('integration', 'sales_channel')),
    constraint api_clients_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint api_clients_keep_their_secret_as_a_hash check (octet_length(hash) = 32),
    constraint api_clients_let_a_previous_secret_expire check (
        (previous_hash is null) = (previous_secret_expires_at is null)
    )
);

-- A credential. Only its SHA-256 is kept, and its last four characters as a hint for people. One that a client has fetched
-- names that, and the grant that it came by with others, so that they end together. Its use is noted once an hour.
create table access_tokens (
    store_id bigint not null,
    id text collate "C" not null,
    kind text not null,
    name text,
    customer_id text collate "C",
    api_client_id text collate "C",
    grant_id text collate "C",
    hash bytea not null,
    hint text not null,
    scopes text[] not null default '{}',
    expires_at timestamptz(3),
    last_used_at timestamptz(3),
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
    constraint access_tokens_belong_to_an_api_client foreign key (store_id, api_client_id)
    references api_clients (store_id, id) on delete cascade,
    constraint access_tokens_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint access_tokens_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint access_tokens_have_a_known_kind check (kind in ('integration', 'customer', 'sales_channel')),
    constraint access_tokens_of_customers_name_the_customer check ((kind = 'customer') = (customer_id is not null)),
    constraint access_tokens_are_kept_as_a_hash check (octet_length(hash) = 32),
    constraint access_tokens_hint_at_no_more_than_four_characters check (length(hint) <= 4)
);

-- For whose they are: `customer_id_eq`, a customer's own reads, erasing.
create index access_tokens_by_customer_id on access_tokens (store_id, customer_id, id) where customer_id is not null;

-- For the tokens of a client: listing, ending and deleting them.
create index access_tokens_by_api_client_id on access_tokens (store_id, api_client_id, id)
where api_client_id is not null;

-- For the worker, which deletes those that clients fetched long ago.
create index access_tokens_by_expires_at on access_tokens (store_id, expires_at) where api_client_id is not null;

-- What a client gets a customer's next token for. Each works once; a second use ends its grant with all tokens of it.
create table refresh_tokens (
    store_id bigint not null,
    hash bytea not null,
    grant_id text collate "C" not null,
    api_client_id text collate "C" not null,
    customer_id text collate "C" not null,
    scopes text[] not null,
    scope text not null,
    created_at timestamptz(3) not null,
    expires_at timestamptz(3) not null,
    used_at timestamptz(3),
    constraint one_refresh_token_per_hash primary key (store_id, hash),
    constraint refresh_tokens_belong_to_an_api_client foreign key (store_id, api_client_id)
    references api_clients (store_id, id) on delete cascade,
    constraint refresh_tokens_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id) on delete cascade,
    constraint refresh_tokens_are_kept_as_a_hash check (octet_length(hash) = 32)
);

-- For ending a grant.
create index refresh_tokens_by_grant_id on refresh_tokens (store_id, grant_id);

-- For ending those of a client.
create index refresh_tokens_by_api_client_id on refresh_tokens (store_id, api_client_id);

-- For ending and erasing those of a customer.
create index refresh_tokens_by_customer_id on refresh_tokens (store_id, customer_id);

-- For the worker, which cleans up.
create index refresh_tokens_by_expires_at on refresh_tokens (store_id, expires_at);

-- The keys that sign access tokens, of the whole installation: one signs, those before it verify until what they signed has
-- ended. The private part is encrypted with a key derived from the settings'. The same on every node.
create table signing_keys (
    id text collate "C" not null,
    public_key text not null,
    private_key text not null,
    created_at timestamptz(3) not null,
    retired_at timestamptz(3),
    expires_at timestamptz(3),
    constraint signing_keys_have_unique_ids primary key (id),
    constraint signing_keys_end_once_they_are_retired check ((retired_at is null) = (expires_at is null))
);

create unique index one_key_signs on signing_keys ((true)) where retired_at is null;

-- Who signs in a shop's customers elsewhere: tokens of the issuer for the audience act as these customers. jwks_url is where
-- its keys are, where it doesn't say so itself. What was issued before revoked_before, real time, is refused.
create table issuers (
    store_id bigint not null,
    id text collate "C" not null,
    name text,
    issuer text not null,
    jwks_url text,
    audience text not null,
    algorithms text[] not null,
    customer_claim text not null default 'sub',
    customer_field text not null default 'id',
    scopes text[] not null,
    revoked_before timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint issuers_have_unique_ids primary key (store_id, id),
    constraint issuers_are_registered_once_per_audience unique (store_id, issuer, audience),
    constraint issuers_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint issuers_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint issuers_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint issuers_name_an_audience check (audience <> ''),
    constraint issuers_name_a_claim check (customer_claim <> ''),
    constraint issuers_find_customers_by_a_known_field check (customer_field in ('id', 'reference', 'email')),
    constraint issuers_sign_by_known_algorithms check (
        algorithms <@ array['RS256', 'PS256', 'ES256', 'EdDSA'] and cardinality(algorithms) > 0
    )
);

-- For a token that doesn't name its store.
create index issuers_by_issuer on issuers (issuer);

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
