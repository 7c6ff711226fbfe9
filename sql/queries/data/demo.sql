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

-- name: has_stores
-- Whether there is any store, asked before demo data is made. A global read.
select count(stores.store_id) > 0 from stores;
