-- How often somebody has guessed wrong at a secret. A row's `started_at` is when that happened last.

-- name: guess
-- Counts a guess of a key as wrong, and returns how many there are then; no row when it comes too early. The latest of n
-- wrong ones has to be as old as the nth of :latest, that of more as the last one. All are forgotten at :forgotten_at.
insert into rate_limits as kept (store_id, key, started_at, expires_at, hits)
values (:store, :key, :at, :forgotten_at, 1)
on conflict (store_id, key) do update set
started_at = excluded.started_at,
expires_at = excluded.expires_at,
hits = case when kept.expires_at <= excluded.started_at then 1 else kept.hits + 1 end
where
kept.expires_at <= excluded.started_at
or kept.started_at
<= (:latest::timestamptz[])[least(greatest(kept.hits, 1), cardinality(:latest::timestamptz[]))]
returning kept.hits;

-- name: wrong
-- The wrong guesses of a key that aren't forgotten.
select
    rate_limits.hits,
    rate_limits.started_at
from rate_limits
where rate_limits.store_id = :store and rate_limits.key = :key and rate_limits.expires_at > :at;

-- name: take_back
-- Takes back one guess of a key that was counted, as if the latest wrong one had been :long_ago.
update rate_limits
set
    started_at = :long_ago,
    hits = greatest(rate_limits.hits - 1, 0)
where rate_limits.store_id = :store and rate_limits.key = :key and rate_limits.expires_at > :at;
