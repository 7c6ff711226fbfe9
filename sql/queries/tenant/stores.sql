-- name: create
-- Makes a store; returns no row when its number or its slug is taken.
insert into stores (
    store_id, slug, name, url, currency_code, timezone, locale, mode, created_at, updated_at
)
values (:store, :slug, :name, :url, :currency_code, :timezone, :locale, :mode, :at, :at)
on conflict do nothing
returning store_id;

-- name: create_market
-- Makes the market of a new store.
insert into markets (store_id, id, name, code, created_at, updated_at)
values (:store, :id, :name, :code, :at, :at);

-- name: market
-- The market of a store.
select markets.id
from markets
where markets.store_id = :store;

-- name: numbers
-- Of all stores: their numbers. A global read.
select stores.store_id
from stores
order by stores.store_id;

-- name: find
-- The facts of a store that every request needs.
select store_facts.* from store_facts
where store_facts.id = :store;

-- name: all
-- Of all stores: their facts. A global read.
select store_facts.* from store_facts
order by store_facts.id;

-- name: terms
-- What a store decides for every new cart and order.
select
    stores.order_prefix,
    stores.order_suffix,
    stores.prices_include_tax,
    stores.locale
from stores
where stores.store_id = :store;

-- name: checkout_url
-- The template of the URL of a store's own checkout.
select stores.checkout_url
from stores
where stores.store_id = :store;

-- name: cancellation_reasons
-- The reasons that a store offers for cancelling a subscription, in its order.
select reasons.reason
from stores
cross join lateral unnest(stores.cancellation_reasons) with ordinality as reasons (reason, position)
where stores.store_id = :store
order by reasons.position;

-- name: clock
-- The instant of a test clock, and when a run of the store's subscriptions was last made.
select
    test_clocks.frozen_at,
    (
        select max(order_subscriptions.last_run_at)
        from order_subscriptions
        where order_subscriptions.store_id = :store
    ) as last_run_at
from test_clocks
where test_clocks.store_id = :store and test_clocks.id = :clock;
