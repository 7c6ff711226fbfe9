-- name: describe
-- What a store was seeded with, null for a store that was not; no row when there is no such store.
select metadata -> 'demo' as demo
from stores
where store_id = :store;

-- name: mark
-- Notes on a store what it was seeded with. Whoever repeats one of its orders by a link can do so to the end: by its
-- postal code.
update stores
set metadata = jsonb_set(metadata, '{demo}', :demo::jsonb), repeat_link_factor = 'zip_code', updated_at = :at
where store_id = :store;

-- name: market
-- The market of a store.
select id
from markets
where store_id = :store;

-- name: use_numbers
-- Moves the next number of each kind beyond those that were used: a kind and its highest number per position.
insert into number_blocks (store_id, kind, next_number)
select
    :store as store_id,
    used.kind,
    used.number + 1 as next_number
from unnest(:kinds::text[], :numbers::bigint[]) as used (kind, number);

-- name: has_stores
-- Whether there is any store, asked before demo data is made. A global read.
select count(stores.store_id) > 0 from stores;
