-- name: seen
-- A worker shows a sign of life.
insert into workers (id, name, started_at, seen_at)
values (:id, :name, :started_at, :at)
on conflict (id) do update set seen_at = excluded.seen_at;

-- name: leave
-- A worker has stopped.
delete from workers
where id = :id;

-- name: forget
-- Deletes workers that were last seen before an instant and never said that they stopped.
delete from workers
where seen_at < :before;
