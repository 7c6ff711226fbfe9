-- name: seen
-- The worker $1 shows a sign of life at $4, the first of its life at $3.
insert into workers (id, name, started_at, seen_at)
values ($1, $2, $3, $4)
on conflict (id) do update set seen_at = excluded.seen_at;

-- name: leave
-- The worker $1 has stopped.
delete from workers
where id = $1;

-- name: forget
-- Deletes workers that were last seen before $1, and never said that they stop.
delete from workers
where seen_at < $1;
