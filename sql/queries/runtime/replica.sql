-- name: written
-- How far the primary has written, as a number of bytes. Of no store.
select cast(pg_current_wal_insert_lsn() - cast('0/0' as pg_lsn) as bigint) as written;

-- name: replayed
-- How far a replica has followed, as a number of bytes; none where it follows nobody, as one that was promoted. Of no store.
select cast(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() - cast('0/0' as pg_lsn) end as bigint) as replayed;
