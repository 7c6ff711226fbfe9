-- name: issue
-- Keeps a token as its hash; returns whether it was made, and whether its customer (null: none) is known.
with holder as (
    select id from customers
    where store_id = :store and id = :customer
),

made as (
    insert into access_tokens (
        store_id, id, kind, name, customer_id, api_client_id, grant_id, hash, hint, scopes, expires_at,
        created_at, updated_at, reference, reference_origin, metadata
    )
    select
        :store as store_id,
        :id as id,
        :kind as kind,
        :name as name,
        :customer as customer_id,
        :client as api_client_id,
        :grant as grant_id,
        :hash as hash,
        :hint as hint,
        :scopes as scopes,
        :expires_at as expires_at,
        :at as created_at,
        :at as updated_at,
        :reference as reference,
        :reference_origin as reference_origin,
        :metadata as metadata
    where :customer::text is null or :customer in (select id from holder)
    on conflict (store_id, id) do nothing
    returning id
),

counted as (
    insert into collection_changes (store_id, collection, delta)
    select
        :store as store_id,
        'access_tokens' as collection,
        1 as delta
    from made
)

select
    (select count(*) from made) = 1 as made,
    :customer::text is null or :customer in (select id from holder) as known;

-- name: find
-- A token by its hash, and how it stands: `live`, `revoked` or `expired`, or `unknown` where the store has none, with the
-- facts of its store.
select
    case
        when access_tokens.id is null then 'unknown'
        when access_tokens.revoked_at is not null then 'revoked'
        when access_tokens.expires_at <= :at then 'expired'
        else 'live'
    end as standing,
    access_tokens.id as token_id,
    access_tokens.kind,
    access_tokens.customer_id,
    access_tokens.api_client_id,
    access_tokens.scopes,
    access_tokens.expires_at,
    access_tokens.last_used_at,
    store_facts.*
from store_facts
left join access_tokens
    on store_facts.id = access_tokens.store_id and access_tokens.store_id = :store and access_tokens.hash = :hash
where store_facts.id = :store;

-- name: note_use
-- Notes that tokens are used, of those :ids that nobody has noted since :before.
update access_tokens
set last_used_at = :at
where
    store_id = :store
    and id = any(:ids)
    and (last_used_at is null or last_used_at <= :before);

-- name: listed
-- A store's tokens as an operator reads them, the newest first.
select
    id,
    kind,
    name,
    customer_id,
    hint,
    scopes,
    created_at,
    expires_at,
    last_used_at,
    revoked_at
from access_tokens
where store_id = :store
order by created_at desc, id desc
limit :most;
