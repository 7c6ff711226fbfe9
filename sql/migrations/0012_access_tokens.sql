-- migrate:up

-- When a token was last used, noted at most once an hour.
alter table access_tokens add column last_used_at timestamptz(3);
