-- name: stores_with_expired_answers
-- Of all stores: those that keep answers to requests past their time at $1. A global read.
select stores.store_id
from stores
where exists(
    select 1 from idempotency_keys
    where idempotency_keys.store_id = stores.store_id and idempotency_keys.expires_at <= $1
);

-- name: delete_expired_answers
-- Deletes at most $3 of a store's answers whose time is over at $2.
delete from idempotency_keys
where
    store_id = $1
    and (principal, key) in (
        select
            principal,
            key
        from idempotency_keys
        where store_id = $1 and expires_at <= $2
        order by expires_at
        limit $3
    );

-- name: delete_past_limits
-- Deletes windows of rate limits that are over at $1, also those of stores that don't exist.
delete from rate_limits
where expires_at <= $1;

-- name: delete_finished_jobs
-- Deletes what the queue noted before $1 on jobs that came and went.
delete from pgqueuer.pgqueuer_log
where created < $1;

-- name: delete_past_statistics
-- Deletes the queue's counts from before $1.
delete from pgqueuer.pgqueuer_statistics
where created < $1;
