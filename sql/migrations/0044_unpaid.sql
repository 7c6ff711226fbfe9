-- migrate:up
-- squawk-ignore-file constraint-missing-not-valid, adding-field-with-default, require-concurrent-index-creation

-- What the failure of a run is about: on the copy the last one that it met, on the occurrence while it stands.
alter table order_factories add column failure_type text;
alter table order_factories add constraint order_factories_have_a_known_failure_type check (
    failure_type in ('payment', 'inventory', 'price', 'address', 'unexpected')
);
alter table occurrences add column failure_type text;
alter table occurrences add constraint occurrences_have_a_known_failure_type check (
    failure_type in ('payment', 'inventory', 'price', 'address', 'unexpected')
);

-- What follows the last refusal of a payment: as the subscription says, else its model, else the store's policies.
alter table order_subscriptions add column unpaid_policy text;
alter table order_subscriptions add constraint order_subscriptions_have_a_known_unpaid_policy check (
    unpaid_policy in ('keep', 'pause', 'cancel')
);
alter table subscription_models add column unpaid_policy text;
alter table subscription_models add constraint subscription_models_have_a_known_unpaid_policy check (
    unpaid_policy in ('keep', 'pause', 'cancel')
);

-- Since when the payment of a run isn't asked for by itself any more.
alter table order_factories add column given_up_at timestamptz(3);

-- Since when its gateway refuses a source for good: it isn't asked again by itself until it is another card.
alter table customer_payment_sources add column refused_at timestamptz(3);

-- When the service asked for a payment anew by itself, by the time of its store.
alter table payment_attempts add column retried_at timestamptz(3);
-- Whether there is something new to pay with since a refusal: it counts as no step of the ladder any more.
alter table payment_attempts add column forgiven boolean not null default false;
-- For the cap on retries of one source.
create index payment_attempts_retried on payment_attempts (store_id, customer_payment_source_id, retried_at)
where retried_at is not null;

-- A source is looked at from 60 days before it expires, at expiry_again_at again, until it is done with that end: told of,
-- or over. Whatever moves expires_at makes it one that is to be looked at.
alter table customer_payment_sources
add column expiry_done_at timestamptz(3),
add column expiry_again_at timestamptz(3),
add column expiry_due_at timestamptz(3) generated always as (
    case
        when expires_at is distinct from expiry_done_at
            then greatest(expiry_again_at, ((expires_at at time zone 'UTC') - make_interval(days => 60)) at time zone 'UTC')
    end
) stored;
-- For the worker's look at cards that expire.
create index customer_payment_sources_expiring on customer_payment_sources (expiry_due_at, store_id)
where expiry_due_at is not null;
