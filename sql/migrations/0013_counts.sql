-- migrate:up

-- How many rows came into a collection, or left it, by the transactions that did it: each writes a row here along with its
-- own, and never changes one, so that nobody waits. `customers` are the owners of those rows, one each. A job sums them up.
create table collection_changes (
    store_id bigint not null,
    collection text collate "C" not null,
    delta bigint not null,
    customers text[] collate "C" not null default '{}'
);

-- Its rows have no key: replication finds those that are deleted by all that they hold, and so a store can move to another
-- node while it is written to.
alter table collection_changes replica identity full;

-- For counted pages, and the job that sums changes up.
create index collection_changes_by_collection on collection_changes (store_id, collection);

-- How many rows a large collection has beside its changes: all of it, or those of a customer. What isn't here is counted
-- row by row.
create table collection_counts (
    store_id bigint not null,
    collection text collate "C" not null,
    customer_id text collate "C" not null default '',
    number bigint not null,
    constraint one_count_per_collection_and_customer primary key (store_id, collection, customer_id)
);

-- All of its rows come and go within seconds.
alter table collection_changes set (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 20000
);
