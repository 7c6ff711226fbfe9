-- name: create
-- A store; no row comes back when its number or its slug is taken.
insert into stores (
    store_id, slug, name, url, currency_code, timezone, locale, mode, created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
on conflict do nothing
returning store_id;

-- name: create_market
-- The market of a new store.
insert into markets (store_id, id, name, code, created_at, updated_at)
values ($1, $2, $3, $4, $5, $5);

-- name: find
-- The facts of a store that every request needs.
select
    stores.store_id,
    stores.name,
    stores.slug,
    stores.mode,
    stores.currency_code,
    stores.locale,
    stores.timezone,
    stores.repeat_order_url,
    test_clocks.frozen_at
from stores
left join test_clocks
    on stores.store_id = test_clocks.store_id and stores.test_clock_id = test_clocks.id
where stores.store_id = $1;

-- name: store_terms
-- What a store gives every new cart and order.
select
    stores.order_prefix,
    stores.order_suffix,
    stores.prices_include_tax,
    stores.locale
from stores
where stores.store_id = $1;
