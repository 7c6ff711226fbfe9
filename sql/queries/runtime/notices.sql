-- name: forget
-- Tells every process, once the transaction has committed, to forget what it knows of a store's tokens.
select pg_notify('reprise_access', cast(cast(:store as bigint) as text));

-- name: forget_keys
-- Tells every process, once the transaction has committed, that there are other keys. Of no store.
select pg_notify('reprise_access', 'keys');
