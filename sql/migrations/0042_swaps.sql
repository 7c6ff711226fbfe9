-- migrate:up

-- What may come in the place of a sku where it can't be had: codes of others, the best first.
alter table skus add column substitute_sku_codes text[] not null default '{}';
