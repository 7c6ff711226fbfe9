-- How often somebody has asked.

-- name: hit
-- Counts one hit of a key at $3, in a new window until $4 if there is none or it is over; gives the window.
insert into rate_limits as kept (store_id, key, started_at, expires_at, hits)
values ($1, $2, $3, $4, 1)
on conflict (store_id, key) do update set
started_at = case when kept.expires_at <= $3 then excluded.started_at else kept.started_at end,
expires_at = case when kept.expires_at <= $3 then excluded.expires_at else kept.expires_at end,
hits = case when kept.expires_at <= $3 then 1 else kept.hits + 1 end
returning kept.hits, kept.expires_at;

-- name: look
-- What is used of a key's window that is not over at $3.
select
    rate_limits.hits,
    rate_limits.expires_at
from rate_limits
where rate_limits.store_id = $1 and rate_limits.key = $2 and rate_limits.expires_at > $3;
