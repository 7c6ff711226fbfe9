-- How much somebody keeps.

-- name: hold
-- Waits until nobody else adds to what somebody owns, and locks that until the end of the transaction.
select pg_advisory_xact_lock(:lock);
