-- migrate:up
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid, require-concurrent-index-creation

-- Deliveries that are paid for together: the order that opens a period asks for those behind it (more than zero), each of
-- which has what was paid for it taken off (less than zero), and so has the tax of that.
alter table orders add column prepaid_amount_cents bigint not null default 0;
alter table orders add column prepaid_tax_amount_cents bigint not null default 0;

alter table subscription_models add column prepaid_occurrences bigint;
alter table subscription_models add constraint subscription_models_prepay_2_to_366_occurrences check (
    prepaid_occurrences between 2 and 366
);

-- prepaid_period says at what the deliveries were paid that are left: an object, null where none is.
alter table order_subscriptions add column prepaid_occurrences bigint;
alter table order_subscriptions add column prepaid_occurrences_left bigint not null default 0;
alter table order_subscriptions add column prepaid_period jsonb;
alter table order_subscriptions add column prepaid_order_id text collate "C";
alter table order_subscriptions add constraint order_subscriptions_prepay_2_to_366_occurrences check (
    prepaid_occurrences between 2 and 366
);
alter table order_subscriptions add constraint order_subscriptions_have_a_period_where_deliveries_are_left check (
    prepaid_occurrences_left >= 0 and (prepaid_occurrences_left > 0) = (prepaid_period is not null)
);
alter table order_subscriptions add constraint order_subscriptions_place_what_is_prepaid check (
    place_target_order and expires_at is null or prepaid_occurrences is null
);
alter table order_subscriptions add constraint order_subscriptions_have_a_known_prepaid_order
foreign key (store_id, prepaid_order_id) references orders (store_id, id);

-- For the foreign key, when an order is deleted.
create index order_subscriptions_by_prepaid_order_id on order_subscriptions (store_id, prepaid_order_id, id)
where prepaid_order_id is not null;
