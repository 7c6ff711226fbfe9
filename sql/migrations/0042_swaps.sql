-- migrate:up
-- squawk-ignore-file constraint-missing-not-valid, ban-drop-constraint

-- What may come in the place of a sku where it can't be had: codes of others, the best first.
alter table skus add column substitute_sku_codes text[] not null default '{}';

-- Runs that order substitutes for what can't be had.
alter table order_subscriptions drop constraint order_subscriptions_have_a_known_unavailable_policy;
alter table order_subscriptions add constraint order_subscriptions_have_a_known_unavailable_policy check (
    unavailable_policy in ('fail', 'skip_line', 'partial', 'substitute')
);
