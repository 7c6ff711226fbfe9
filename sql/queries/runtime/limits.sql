-- How often a client has sent requests.

-- name: hit
-- Counts hits of a key, in a new window until `:expires_at` if the key has none or its own has ended; returns the window.
insert into rate_limits as kept (store_id, key, started_at, expires_at, hits)
values (:store, :key, :at, :expires_at, :number)
on conflict (store_id, key) do update set
started_at = case when kept.expires_at <= :at then excluded.started_at else kept.started_at end,
expires_at = case when kept.expires_at <= :at then excluded.expires_at else kept.expires_at end,
hits = case when kept.expires_at <= :at then excluded.hits else kept.hits + excluded.hits end
returning kept.hits, kept.expires_at;

-- name: look
-- What a key has used of its window, unless that has ended.
select
    rate_limits.hits,
    rate_limits.expires_at
from rate_limits
where rate_limits.store_id = :store and rate_limits.key = :key and rate_limits.expires_at > :at;

-- name: take_back
-- Takes back one hit of a key, in the window in which it was counted.
update rate_limits
set hits = greatest(rate_limits.hits - 1, 0)
where rate_limits.store_id = :store and rate_limits.key = :key and rate_limits.expires_at = :expires_at;
