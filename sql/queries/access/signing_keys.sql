-- name: live
-- The keys that verify tokens at an instant, the newest first. Of no store.
select
    id,
    public_key,
    private_key,
    retired_at
from signing_keys
where expires_at is null or expires_at > :at
order by created_at desc;

-- name: add
-- Adds a key that signs, unless there is one. Of no store.
insert into signing_keys (id, public_key, private_key, created_at)
select
    :id as id,
    :public_key as public_key,
    :private_key as private_key,
    :at as created_at
where
    not exists(
        select 1 from signing_keys
        where retired_at is null
    )
on conflict do nothing;

-- name: retire
-- Retires the key that signs; it verifies until an instant. Of no store.
update signing_keys
set
    retired_at = :at,
    expires_at = :until
where retired_at is null;

-- name: reseal
-- Replaces the private part of a key, encrypted with another key of the settings. Of no store.
update signing_keys
set private_key = :private_key
where id = :id;
