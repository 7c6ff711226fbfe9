-- name: keep_refresh
-- Keeps what a customer's next token is fetched with.
insert into refresh_tokens (
    store_id, hash, grant_id, api_client_id, customer_id, scopes, scope, created_at, expires_at
)
values (:store, :hash, :grant, :client, :customer, :scopes, :scope, :at, :expires_at);

-- name: refresh
-- A client's refresh token that hasn't ended, locked.
select
    grant_id,
    customer_id,
    scopes,
    scope,
    used_at
from refresh_tokens
where store_id = :store and hash = :hash and api_client_id = :client and expires_at > :at
for update;

-- name: use_refresh
-- Notes that a refresh token was used.
update refresh_tokens
set used_at = :at
where store_id = :store and hash = :hash;

-- name: grant_of
-- The grant of a client's refresh token.
select grant_id
from refresh_tokens
where store_id = :store and hash = :hash and api_client_id = :client;

-- name: end_refreshing
-- Deletes what tokens of a grant would be refreshed with.
delete from refresh_tokens
where store_id = :store and grant_id = :grant;

-- name: end_tokens
-- Revokes the tokens of a grant. :at is real time, as it is when tokens are looked up.
update access_tokens
set
    revoked_at = :at,
    updated_at = :at,
    version = access_tokens.version + 1
where
    access_tokens.store_id = :store
    and access_tokens.api_client_id = :client
    and access_tokens.grant_id = :grant
    and access_tokens.revoked_at is null
returning access_tokens.id;

-- name: token_of
-- The id of a client's token by its hash.
select id
from access_tokens
where store_id = :store and hash = :hash and api_client_id = :client;
