-- migrate:up

-- Who was refused, and until where the trail has let go of addresses.

-- How often an address was refused within a minute, by why. Those that name no store that there is are of the store 0. So
-- that nobody fills the disk, many addresses are one without a name once there are too many.
create table refused_authentications (
    store_id bigint not null,
    id text collate "C" not null,
    kind text not null,
    address text,
    started_at timestamptz(3) not null,
    refusals_count bigint not null,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint refused_authentications_have_unique_ids primary key (store_id, id),
    constraint refused_authentications_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint refused_authentications_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint refused_authentications_have_a_known_kind check (
        kind in ('missing', 'malformed', 'unknown', 'expired', 'revoked', 'session', 'client', 'grant', 'issuer')
    ),
    constraint refused_authentications_have_happened check (refusals_count > 0)
);

-- For lists by date, and for the worker, which deletes those whose time is over.
create index refused_authentications_by_started_at on refused_authentications (store_id, started_at, id);

-- Up to which event of a store the trail names no addresses any more.
create table address_horizons (
    store_id bigint not null,
    event_id text collate "C" not null,
    constraint address_horizons_are_one_per_store primary key (store_id),
    constraint address_horizons_belong_to_a_store foreign key (store_id) references stores (store_id)
);
