-- migrate:up

-- Autovacuum looks at a table once a part of it has changed. In tables of millions of rows a tenth or a fifth is too much:
-- statistics would say nothing of the last weeks, and counts would go to the rows themselves. These grow with every order.
alter table customers set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
alter table addresses set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
alter table carts set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.05);
alter table cart_items set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.05);
alter table orders set (
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
alter table line_items set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
alter table payment_attempts set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.05);
alter table order_subscriptions set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.05);
alter table order_subscription_items set (autovacuum_analyze_scale_factor = 0.02);
alter table occurrences set (
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
alter table order_factories set (
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
alter table reorders set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
alter table reorder_outcomes set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
alter table events set (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- One store may have half of everything, while Postgres plans for a store of middling size where it isn't told which: of a
-- thousand stores the middling one seems quickly read as a whole, by any index that begins with the store. So it is to plan
-- for the largest: with so few distinct stores, a store is taken to have as many rows as the one that has most. It is told
-- too that ids are unique, although several stores may have the same, since both together name one row. Nothing else is to be
-- known of ids: the ones that come most often would make joins by them seem large.
alter table customers alter column store_id set (n_distinct = 1);
alter table customers alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table addresses alter column store_id set (n_distinct = 1);
alter table addresses alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table skus alter column store_id set (n_distinct = 1);
alter table skus alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table prices alter column store_id set (n_distinct = 1);
alter table prices alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table stock_items alter column store_id set (n_distinct = 1);
alter table stock_items alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table carts alter column store_id set (n_distinct = 1);
alter table carts alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table cart_items alter column store_id set (n_distinct = 1);
alter table cart_items alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table orders alter column store_id set (n_distinct = 1);
alter table orders alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table line_items alter column store_id set (n_distinct = 1);
alter table line_items alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table payment_attempts alter column store_id set (n_distinct = 1);
alter table payment_attempts alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table order_subscriptions alter column store_id set (n_distinct = 1);
alter table order_subscriptions alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table order_subscription_items alter column store_id set (n_distinct = 1);
alter table order_subscription_items alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table occurrences alter column store_id set (n_distinct = 1);
alter table occurrences alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table order_factories alter column store_id set (n_distinct = 1);
alter table order_factories alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table reorders alter column store_id set (n_distinct = 1);
alter table reorders alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table reorder_outcomes alter column store_id set (n_distinct = 1);
alter table reorder_outcomes alter column id set (n_distinct = -1), alter column id set statistics 1;
alter table events alter column store_id set (n_distinct = 1);
alter table events alter column id set (n_distinct = -1), alter column id set statistics 1;
