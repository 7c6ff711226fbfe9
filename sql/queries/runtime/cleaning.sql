-- name: stores_with_expired_answers
-- Of all stores: those that keep answers to requests past their time. A global read.
select markets.store_id
from markets
where exists(
    select 1 from idempotency_keys
    where idempotency_keys.store_id = markets.store_id and idempotency_keys.expires_at <= :at
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

-- name: stores_with_past_tokens
-- Of all stores: those that keep tokens of clients which ended before an instant, or what refreshed them. A global read.
select markets.store_id
from markets
where
    exists(
        select 1 from access_tokens
        where
            access_tokens.store_id = markets.store_id
            and access_tokens.api_client_id is not null
            and access_tokens.expires_at <= :before
    )
    or exists(
        select 1 from refresh_tokens
        where refresh_tokens.store_id = markets.store_id and refresh_tokens.expires_at <= :before
    );

-- name: delete_past_tokens
-- Deletes a store's tokens of clients that ended before an instant, at most `:most` of them.
with gone as (
    delete from access_tokens
    where
        store_id = :store
        and id in (
            select id
            from access_tokens
            where store_id = :store and api_client_id is not null and expires_at <= :before
            order by expires_at
            limit :most
        )
    returning id
)

insert into collection_changes (store_id, collection, delta)
select
    :store as store_id,
    'access_tokens' as collection,
    -1 as delta
from gone;

-- name: delete_past_refreshing
-- Deletes a store's refresh tokens that ended before an instant.
delete from refresh_tokens
where store_id = :store and expires_at <= :before;

-- name: delete_past_keys
-- Deletes keys that verify no token any more. Of no store.
delete from signing_keys
where expires_at <= :at;

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
