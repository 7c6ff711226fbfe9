-- name: stores_with_expired_answers
-- Of all stores: those that keep answers to requests past their time. A global read.
select stores.store_id
from stores
where exists(
    select 1 from idempotency_keys
    where idempotency_keys.store_id = stores.store_id and idempotency_keys.expires_at <= :at
);

-- name: delete_expired_answers
-- Deletes a store's answers that have expired, at most `:most` of them.
delete from idempotency_keys
where
    store_id = :store
    and (principal, key) in (
        select
            principal,
            key
        from idempotency_keys
        where store_id = :store and expires_at <= :at
        order by expires_at
        limit :most
    );

-- name: delete_past_limits
-- Deletes windows of rate limits that have ended, also those of stores that don't exist.
delete from rate_limits
where expires_at <= :at;

-- name: delete_finished_jobs
-- Deletes what the queue logged of finished jobs before an instant.
delete from pgqueuer.pgqueuer_log
where created < :before;

-- name: delete_past_statistics
-- Deletes the queue's counts from before an instant.
delete from pgqueuer.pgqueuer_statistics
where created < :before;
