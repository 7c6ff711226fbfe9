-- migrate:up

-- Programs that fetch their own tokens. Of a client's secret only the SHA-256 is kept.
create table api_clients (
    store_id bigint not null,
    id text collate "C" not null,
    client_id text collate "C" not null,
    kind text not null,
    name text not null,
    scopes text [] not null default '{}',
    hash bytea not null,
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
    constraint api_clients_keep_their_secret_as_a_hash check (octet_length(hash) = 32)
);

-- The client that fetched a token, and the grant that it came by with others, so that they end together.
alter table access_tokens add column api_client_id text collate "C";
alter table access_tokens add column grant_id text collate "C";
alter table access_tokens drop constraint access_tokens_have_a_known_kind;
alter table access_tokens add constraint access_tokens_have_a_known_kind
check (kind in ('integration', 'customer', 'sales_channel')) not valid;
alter table access_tokens validate constraint access_tokens_have_a_known_kind;
alter table access_tokens add constraint access_tokens_belong_to_an_api_client
foreign key (store_id, api_client_id) references api_clients (store_id, id) on delete cascade not valid;
alter table access_tokens validate constraint access_tokens_belong_to_an_api_client;

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
    scopes text [] not null,
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
