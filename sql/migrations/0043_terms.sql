-- migrate:up
-- squawk-ignore-file constraint-missing-not-valid

-- How long somebody subscribes at least, and how a subscription ends: with the run that comes next, or at once; why, in
-- words that the store offers, and in the customer's own.

alter table stores add column cancellation_reasons text[] not null default '{}';
alter table stores add constraint stores_have_at_most_50_cancellation_reasons check (
    cardinality(cancellation_reasons) <= 50
);

alter table subscription_models add column min_occurrences bigint;
alter table subscription_models add constraint subscription_models_have_a_positive_min_occurrences check (
    min_occurrences > 0
);

alter table order_subscriptions add column min_occurrences bigint;
alter table order_subscriptions add column cancel_at_period_end boolean not null default false;
alter table order_subscriptions add column cancellation_reason text;
alter table order_subscriptions add column cancellation_comment text;
alter table order_subscriptions add constraint order_subscriptions_have_a_positive_min_occurrences check (
    min_occurrences > 0
);
alter table order_subscriptions add constraint order_subscriptions_run_as_often_as_they_must check (
    min_occurrences <= max_occurrences
);

-- pricing_phases are what runs cost less: a list of objects, each for so many runs.
alter table subscription_models add column pricing_phases jsonb;
alter table subscription_models add constraint subscription_models_have_a_list_of_pricing_phases check (
    jsonb_typeof(pricing_phases) = 'array'
);
alter table order_subscriptions add column pricing_phases jsonb;
alter table order_subscriptions add constraint order_subscriptions_have_a_list_of_pricing_phases check (
    jsonb_typeof(pricing_phases) = 'array'
);
