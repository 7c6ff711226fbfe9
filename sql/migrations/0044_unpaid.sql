-- migrate:up
-- squawk-ignore-file constraint-missing-not-valid

-- What the failure of a run is about: on the copy the last one that it met, on the occurrence while it stands.
alter table order_factories add column failure_type text;
alter table order_factories add constraint order_factories_have_a_known_failure_type check (
    failure_type in ('payment', 'inventory', 'price', 'address', 'unexpected')
);
alter table occurrences add column failure_type text;
alter table occurrences add constraint occurrences_have_a_known_failure_type check (
    failure_type in ('payment', 'inventory', 'price', 'address', 'unexpected')
);
