-- name: hold
-- Locks a key until the end of the transaction, unless another transaction holds it; returns whether it did.
select pg_try_advisory_xact_lock(:lock);

-- name: wait
-- Locks a key until the end of the transaction, as soon as no other one holds it.
select pg_advisory_xact_lock(:lock);

-- name: find
-- The answer kept under a key, unless it has expired.
select
    fingerprint,
    status,
    headers,
    body
from idempotency_keys
where store_id = :store and principal = :principal and key = :key and expires_at > :at;

-- name: keep
-- Keeps an answer, in place of one under the same key that has expired.
insert into idempotency_keys (
    store_id, principal, key, fingerprint, status, headers, body, created_at, expires_at
)
values (:store, :principal, :key, :fingerprint, :status, :headers, :body, :at, :expires_at)
on conflict (store_id, principal, key) do update
set
    fingerprint = excluded.fingerprint,
    status = excluded.status,
    headers = excluded.headers,
    body = excluded.body,
    created_at = excluded.created_at,
    expires_at = excluded.expires_at
where idempotency_keys.expires_at <= excluded.created_at;
