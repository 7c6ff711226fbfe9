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
