-- name: hold
-- Holds a key until the end of the transaction, without waiting for another one that does; says whether it worked.
select pg_try_advisory_xact_lock($1);

-- name: wait
-- Holds a key until the end of the transaction, once nobody else does.
select pg_advisory_xact_lock($1);

-- name: find
-- The answer kept under a key, unless its time is over at $4.
select
    fingerprint,
    status,
    headers,
    body
from idempotency_keys
where store_id = $1 and principal = $2 and key = $3 and expires_at > $4;

-- name: keep
-- Keeps an answer, in the place of one under the same key whose time is over.
insert into idempotency_keys (
    store_id, principal, key, fingerprint, status, headers, body, created_at, expires_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (store_id, principal, key) do update
set
    fingerprint = excluded.fingerprint,
    status = excluded.status,
    headers = excluded.headers,
    body = excluded.body,
    created_at = excluded.created_at,
    expires_at = excluded.expires_at
where idempotency_keys.expires_at <= excluded.created_at;
