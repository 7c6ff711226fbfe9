-- name: payloads
-- Of all stores: the payloads of an entrypoint's jobs that wait or run, at most `:most` of them. A global read.
select coalesce(payload, ''::bytea) as payload from pgqueuer.pgqueuer
where entrypoint = :entrypoint and status in ('queued', 'picked')
order by id
limit :most;

-- name: is_installed
-- Of all stores: whether the queue has its table. A global read.
select to_regclass('pgqueuer.pgqueuer') is not null as installed;
