-- migrate:up
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid, require-concurrent-index-creation

-- What is different about single runs of subscriptions. A run to come goes elsewhere, or another way, than its
-- subscription's others where it says so itself.
alter table occurrences add column shipping_address_id text collate "C";
alter table occurrences add column shipping_method_id text collate "C";

alter table occurrences add constraint occurrences_have_a_known_shipping_address
foreign key (store_id, shipping_address_id) references addresses (store_id, id);

alter table occurrences add constraint occurrences_have_a_known_shipping_method
foreign key (store_id, shipping_method_id) references shipping_methods (store_id, id);

-- For the foreign key, when an address is deleted.
create index occurrences_by_shipping_address_id on occurrences (store_id, shipping_address_id, id)
where shipping_address_id is not null;
-- For the foreign key.
create index occurrences_by_shipping_method_id on occurrences (store_id, shipping_method_id, id)
where shipping_method_id is not null;

-- A line of a single run: one that is added to it, or what an item of the subscription is this time, whole; without pieces
-- the item is left out. A draft changes nothing of what runs until it is committed.
create table occurrence_items (
    store_id bigint not null,
    id text collate "C" not null,
    order_subscription_id text collate "C" not null,
    occurrence_id text collate "C" not null,
    occurrence_index bigint not null,
    order_subscription_item_id text collate "C",
    sku_id text collate "C" not null,
    sku_code text not null,
    name text not null,
    options jsonb not null default '{}',
    quantity bigint not null,
    price_mode text,
    currency_code text not null,
    unit_amount_cents bigint not null,
    priced_by_hand boolean not null default false,
    total_amount_cents bigint not null,
    draft boolean not null default false,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint occurrence_items_have_unique_ids primary key (store_id, id),
    constraint occurrence_items_belong_to_an_order_subscription foreign key (store_id, order_subscription_id)
    references order_subscriptions (store_id, id) on delete cascade,
    constraint occurrence_items_belong_to_an_occurrence foreign key (store_id, occurrence_id)
    references occurrences (store_id, id) on delete cascade,
    constraint occurrence_items_change_a_known_item foreign key (store_id, order_subscription_item_id)
    references order_subscription_items (store_id, id) on delete cascade,
    constraint occurrence_items_hold_a_known_sku foreign key (store_id, sku_id)
    references skus (store_id, id),
    constraint occurrence_items_change_an_item_once unique (
        store_id, occurrence_id, order_subscription_item_id, draft
    ),
    constraint occurrence_items_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint occurrence_items_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint occurrence_items_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint occurrence_items_have_an_object_as_options check (jsonb_typeof(options) = 'object'),
    constraint occurrence_items_have_no_negative_quantity check (quantity >= 0),
    constraint occurrence_items_add_a_piece_at_least check (quantity > 0 or order_subscription_item_id is not null),
    constraint occurrence_items_have_a_known_price_mode check (price_mode in ('current', 'fixed')),
    constraint occurrence_items_have_no_negative_amount check (unit_amount_cents >= 0 and total_amount_cents >= 0)
);

-- For a subscription's own: `order_subscription_id_eq`.
create index occurrence_items_by_order_subscription_id on occurrence_items (store_id, order_subscription_id, id);
-- For what goes along with an item of a subscription.
create index occurrence_items_by_order_subscription_item_id on occurrence_items (store_id, order_subscription_item_id, id)
where order_subscription_item_id is not null;
-- For the rows of a sku; its foreign key.
create index occurrence_items_by_sku_id on occurrence_items (store_id, sku_id, id);
