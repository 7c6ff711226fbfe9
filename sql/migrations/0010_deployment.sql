-- migrate:up

-- Which installation this database belongs to: one row. A copy of the database that was restored elsewhere still names
-- the original, so that its workers know not to run subscriptions that the original runs too. The same on every node.
create table deployment (
    singleton boolean not null default true,
    id text not null,
    adopted_at timestamptz(3) not null,
    constraint one_deployment primary key (singleton),
    constraint deployment_has_one_row check (singleton),
    constraint deployment_has_an_id check (id <> '')
);

-- The workers that showed a sign of life, so that their absence is noticed. One that stops deletes its row. The same on
-- every node.
create table workers (
    id text collate "C" not null,
    name text not null,
    started_at timestamptz(3) not null,
    seen_at timestamptz(3) not null,
    constraint workers_have_unique_ids primary key (id),
    constraint workers_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint workers_have_a_name check (name <> '')
);
