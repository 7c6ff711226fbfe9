-- name: issue
-- Keeps a token as its hash; says whether the row was made and whether its customer (null: none) is known.
with holder as (
    select id from customers
    where store_id = $1 and id = $5
),

made as (
    insert into access_tokens (
        store_id, id, kind, name, customer_id, hash, hint, scopes, expires_at, created_at, updated_at,
        reference, reference_origin, metadata
    )
    select
        $1 as store_id,
        $2 as id,
        $3 as kind,
        $4 as name,
        $5 as customer_id,
        $6 as hash,
        $7 as hint,
        $8 as scopes,
        $9 as expires_at,
        $10 as created_at,
        $10 as updated_at,
        $11 as reference,
        $12 as reference_origin,
        $13 as metadata
    where $5::text is null or $5 in (select id from holder)
    on conflict (store_id, id) do nothing
    returning id
)

select
    (select count(*) from made) = 1 as made,
    $5::text is null or $5 in (select id from holder) as known;

-- name: find
-- A live token by its hash, with the facts of its store.
select
    access_tokens.id as token_id,
    access_tokens.customer_id,
    access_tokens.scopes,
    access_tokens.expires_at,
    stores.store_id,
    stores.name,
    stores.slug,
    stores.mode,
    stores.currency_code,
    stores.locale,
    stores.timezone,
    stores.repeat_order_url,
    test_clocks.frozen_at,
    coalesce(stores.policies -> 'require_if_match' = 'true'::jsonb, false) as demands_if_match
from access_tokens
inner join stores
    on access_tokens.store_id = stores.store_id
left join test_clocks
    on stores.store_id = test_clocks.store_id and stores.test_clock_id = test_clocks.id
where
    access_tokens.store_id = $1
    and access_tokens.hash = $2
    and access_tokens.revoked_at is null
    and (access_tokens.expires_at is null or access_tokens.expires_at > $3);
