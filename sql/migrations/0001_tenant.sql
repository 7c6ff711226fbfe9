-- migrate:up

-- Tenants. Rules for every table: store_id leads every primary, unique and foreign key, so that the same schema
-- runs on one server, on hash partitions and on Citus; whole numbers are bigint, money is minor units beside an
-- ISO 4217 code, instants are timestamptz(3) that the service binds; nothing here reads a clock. Constraint
-- names are sentences: the API answers with them. A row that no other row of its store vouches for refers to its
-- store; carts, orders, addresses and events, which are written all the time, do not, so that they never queue
-- for a lock on the store's row (checks.sql looks after them).

-- A shop, the tenant. On Citus a reference table, as test_clocks is: it has the one key that is unique across
-- stores. policies holds what a shop decides (retry ladder, catch-up limits, whether writes need If-Match, whether
-- orders can be put into a cart again); repeat_link_factor is how somebody who repeats an order by its link shows to be
-- its customer. gateway_url is where the store's own payment gateway is asked, gateway_secret what signs the requests, sealed.
create table stores (
    store_id bigint not null,
    id text collate "C" not null generated always as (store_id::text) stored,
    slug text not null,
    name text not null,
    url text,
    timezone text not null default 'UTC',
    currency_code text not null,
    locale text not null default 'en',
    mode text not null default 'test',
    order_prefix text not null default '',
    order_suffix text not null default '',
    checkout_url text,
    repeat_order_url text,
    repeat_link_factor text not null default 'customer',
    prices_include_tax boolean not null default true,
    policies jsonb not null default '{}',
    gateway_url text,
    gateway_secret text,
    test_clock_id text collate "C",
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint stores_have_unique_numbers primary key (store_id),
    constraint stores_have_unique_ids unique (store_id, id),
    constraint stores_have_a_slug_of_their_own unique (slug),
    constraint stores_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint stores_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint stores_have_a_positive_number check (store_id > 0),
    constraint stores_have_a_plain_slug check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint stores_are_in_test_or_live_mode check (mode in ('test', 'live')),
    constraint stores_have_a_known_repeat_link_factor check (repeat_link_factor in ('customer', 'zip_code', 'email')),
    constraint stores_have_an_object_as_policies check (jsonb_typeof(policies) = 'object'),
    constraint stores_in_live_mode_keep_real_time check (mode = 'test' or test_clock_id is null)
);

-- For the stores of a clock.
create index stores_by_test_clock_id on stores (store_id, test_clock_id, id) where test_clock_id is not null;

-- A frozen time that a store in test mode can keep. While the status is advancing, everything that falls due up
-- to advancing_to runs.
create table test_clocks (
    store_id bigint not null,
    id text collate "C" not null,
    name text,
    status text not null default 'ready',
    frozen_at timestamptz(3) not null,
    advancing_to timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint test_clocks_have_unique_ids primary key (store_id, id),
    constraint test_clocks_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint test_clocks_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint test_clocks_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint test_clocks_have_a_known_status check (status in ('ready', 'advancing')),
    constraint test_clocks_advance_forward check (
        (status = 'ready' and advancing_to is null)
        or (status = 'advancing' and advancing_to is not null and advancing_to >= frozen_at)
    )
);

-- For the worker, which goes on with them.
create index test_clocks_advancing on test_clocks (store_id, id) where status = 'advancing';

-- The tables are new and empty: adding and checking the reference holds nobody up.
alter table stores add constraint stores_keep_the_time_of_a_test_clock
foreign key (store_id, test_clock_id) references test_clocks (store_id, id);

-- Where a store sells: one per store, for clients of Commerce Layer.
create table markets (
    store_id bigint not null,
    id text collate "C" not null,
    name text not null,
    code text,
    checkout_url text,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint markets_have_unique_ids primary key (store_id, id),
    constraint one_market_per_store unique (store_id),
    constraint markets_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint markets_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint markets_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object')
);


-- The next number to hand out per kind. Numbers are taken in blocks, each in its own short transaction; gaps are
-- allowed.
create table number_blocks (
    store_id bigint not null,
    kind text not null,
    next_number bigint not null default 1,
    constraint one_number_block_per_kind primary key (store_id, kind),
    constraint number_blocks_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint number_blocks_have_a_known_kind check (kind in ('orders', 'order_subscriptions', 'skus')),
    constraint number_blocks_count_from_one check (next_number > 0)
);

-- The facts of a store that every request needs, in the order of the service's type Store. A statement that reads more
-- takes these last, so that a column may be added at the end.
create view store_facts as
select
    stores.store_id as id,
    stores.name,
    stores.slug,
    stores.mode,
    stores.currency_code,
    stores.locale,
    stores.timezone,
    test_clocks.frozen_at,
    stores.repeat_order_url,
    coalesce(stores.policies -> 'require_if_match' = 'true'::jsonb, false) as demands_if_match
from stores
left join test_clocks
    on stores.store_id = test_clocks.store_id and stores.test_clock_id = test_clocks.id;
