-- name: payloads
-- Of all stores: what the jobs of an entrypoint ($1) are given that wait or run, of at most $2 of them. A global read.
select payload from pgqueuer.pgqueuer
where entrypoint = $1 and status in ('queued', 'picked')
order by id
limit $2;
