-- name: create
-- Keeps a client with its secret's hash; returns its id, nothing when the id is taken.
with made as (
    insert into api_clients (
        store_id, id, client_id, kind, name, scopes, hash, created_at, updated_at, reference, reference_origin, metadata
    )
    values (
        :store, :id, :client_id, :kind, :name, :scopes, :hash, :at, :at, :reference, :reference_origin, :metadata
    )
    on conflict (store_id, id) do nothing
    returning id
),

counted as (
    insert into collection_changes (store_id, collection, delta)
    select
        :store as store_id,
        'api_clients' as collection,
        1 as delta
    from made
)

select id from made;

-- name: find
-- A client that wasn't revoked by its client id, held until the transaction ends, with the facts of its store. The secret
-- before the last works on for a while; :at is real time.
select
    api_clients.id,
    api_clients.client_id,
    api_clients.kind,
    api_clients.name,
    api_clients.scopes,
    api_clients.hash,
    case when api_clients.previous_secret_expires_at > :at then api_clients.previous_hash end as previous_hash,
    store_facts.*
from api_clients
inner join store_facts
    on api_clients.store_id = store_facts.id
where api_clients.store_id = :store and api_clients.client_id = :client_id and api_clients.revoked_at is null
for share of api_clients;

-- name: end_tokens
-- Revokes the tokens of a client. :at is real time, as it is when tokens are looked up.
update access_tokens
set
    revoked_at = :at,
    updated_at = :at,
    version = access_tokens.version + 1
where
    access_tokens.store_id = :store
    and access_tokens.api_client_id = :client
    and access_tokens.revoked_at is null;

-- name: end_refreshing
-- Deletes what a client would refresh tokens with.
delete from refresh_tokens
where store_id = :store and api_client_id = :client;

-- name: listed
-- A store's clients as an operator reads them, the newest first.
select
    id,
    client_id,
    kind,
    name,
    scopes,
    created_at,
    revoked_at
from api_clients
where store_id = :store
order by created_at desc, id desc
limit :most;

-- name: markets
-- The markets of a store that have one of these ids or codes.
select id
from markets
where store_id = :store and (id = any(:ids) or code = any(:codes))
order by id;
