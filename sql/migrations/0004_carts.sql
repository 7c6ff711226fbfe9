-- migrate:up
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid

-- What a customer or a guest is about to order.

-- A cart. session is its unguessable name for a guest's frontend, sealed with a key of the settings for this very row;
-- session_digest is what it is found by. A cart made from a repeat link also knows
-- which browser it was made in. Discounts are zero or negative; the total is the sum of the other amounts, to
-- which taxes come unless they are included. coupon_status says whether the coupon applies, or why it does not.
create table carts (
    store_id bigint not null,
    id text collate "C" not null,
    session text not null,
    session_digest text collate "C" not null,
    status text not null default 'active',
    customer_id text collate "C",
    customer_email text,
    currency_code text not null,
    coupon_code text,
    coupon_status text,
    billing_address_id text collate "C",
    shipping_address_id text collate "C",
    shipping_method_id text collate "C",
    payment_method_id text collate "C",
    customer_payment_source_id text collate "C",
    repeat_link_id text collate "C",
    browser text,
    filled_version bigint,
    tax_included boolean not null default true,
    subtotal_amount_cents bigint not null default 0,
    shipping_amount_cents bigint not null default 0,
    payment_method_amount_cents bigint not null default 0,
    discount_amount_cents bigint not null default 0,
    total_tax_amount_cents bigint not null default 0,
    total_amount_cents bigint not null default 0,
    converted_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint carts_have_unique_ids primary key (store_id, id),
    constraint one_cart_per_session unique (store_id, session_digest),
    constraint carts_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id),
    constraint carts_have_a_known_billing_address foreign key (store_id, billing_address_id)
    references addresses (store_id, id),
    constraint carts_have_a_known_shipping_address foreign key (store_id, shipping_address_id)
    references addresses (store_id, id),
    constraint carts_have_a_known_shipping_method foreign key (store_id, shipping_method_id)
    references shipping_methods (store_id, id),
    constraint carts_have_a_known_payment_method foreign key (store_id, payment_method_id)
    references payment_methods (store_id, id),
    constraint carts_have_a_known_customer_payment_source foreign key (store_id, customer_payment_source_id)
    references customer_payment_sources (store_id, id),
    constraint carts_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint carts_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint carts_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint carts_have_a_known_status check (status in ('active', 'converted', 'abandoned')),
    constraint carts_have_a_known_coupon_status check (
        coupon_status in (
            'applied', 'unknown', 'disabled', 'not_started', 'expired', 'used_up', 'not_for_customer',
            'not_for_currency', 'minimum_not_reached', 'no_matching_items'
        )
    ),
    constraint carts_from_a_link_know_their_browser check ((repeat_link_id is null) = (browser is null)),
    constraint carts_note_when_they_were_converted check ((status = 'converted') = (converted_at is not null)),
    constraint carts_have_no_negative_amount check (
        subtotal_amount_cents >= 0 and shipping_amount_cents >= 0 and payment_method_amount_cents >= 0
        and total_tax_amount_cents >= 0 and total_amount_cents >= 0
    ),
    constraint carts_have_discounts_of_zero_or_less check (discount_amount_cents <= 0)
);

create unique index one_active_cart_per_customer on carts (store_id, customer_id)
where status = 'active' and repeat_link_id is null and customer_id is not null;
create unique index one_open_cart_per_link_and_browser on carts (store_id, repeat_link_id, browser)
where status = 'active' and repeat_link_id is not null;
-- For whose they are: `customer_id_eq`, a customer's own reads, erasing.
create index carts_by_customer_id on carts (store_id, customer_id, id) where customer_id is not null;
-- For the foreign key, when an address is deleted.
create index carts_by_billing_address_id on carts (store_id, billing_address_id, id)
where billing_address_id is not null;
-- For the foreign key, when an address is deleted.
create index carts_by_shipping_address_id on carts (store_id, shipping_address_id, id)
where shipping_address_id is not null;
-- For the foreign key.
create index carts_by_shipping_method_id on carts (store_id, shipping_method_id, id)
where shipping_method_id is not null;
-- For the foreign key.
create index carts_by_payment_method_id on carts (store_id, payment_method_id, id) where payment_method_id is not null;
-- For the foreign key, when a wallet source is deleted.
create index carts_by_customer_payment_source_id on carts (store_id, customer_payment_source_id, id)
where customer_payment_source_id is not null;
-- For what came of a link.
create index carts_by_repeat_link_id on carts (store_id, repeat_link_id, id) where repeat_link_id is not null;
-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index carts_by_created_at on carts (store_id, created_at, id);

-- A line of a cart. options is what was chosen (name to value); options_digest stands for it where lines merge.
-- The total is the quantity times the unit price, before the discount.
create table cart_items (
    store_id bigint not null,
    id text collate "C" not null,
    cart_id text collate "C" not null,
    sku_id text collate "C" not null,
    source_line_item_id text collate "C",
    sku_code text not null,
    name text not null,
    image_url text,
    options jsonb not null default '{}',
    options_digest text not null default '',
    quantity bigint not null,
    currency_code text not null,
    unit_amount_cents bigint not null,
    compare_at_amount_cents bigint,
    discount_cents bigint not null default 0,
    total_amount_cents bigint not null,
    tax_rate numeric(7, 6) not null default 0,
    tax_amount_cents bigint not null default 0,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint cart_items_have_unique_ids primary key (store_id, id),
    constraint one_cart_item_per_sku_and_options unique (store_id, cart_id, sku_id, options_digest),
    constraint cart_items_belong_to_a_cart foreign key (store_id, cart_id)
    references carts (store_id, id) on delete cascade,
    constraint cart_items_hold_a_known_sku foreign key (store_id, sku_id)
    references skus (store_id, id),
    constraint cart_items_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint cart_items_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint cart_items_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint cart_items_have_an_object_as_options check (jsonb_typeof(options) = 'object'),
    constraint cart_items_have_a_positive_quantity check (quantity > 0),
    constraint cart_items_have_no_negative_amount check (
        unit_amount_cents >= 0 and compare_at_amount_cents >= 0 and total_amount_cents >= 0
        and tax_amount_cents >= 0
    ),
    constraint cart_items_have_discounts_of_zero_or_less check (discount_cents <= 0),
    constraint cart_items_have_a_tax_rate_between_0_and_1 check (tax_rate between 0 and 1)
);

-- For the rows of a sku; its foreign key.
create index cart_items_by_sku_id on cart_items (store_id, sku_id, id);
-- For the foreign key, and what came of a line.
create index cart_items_by_source_line_item_id on cart_items (store_id, source_line_item_id, id)
where source_line_item_id is not null;

-- A reference that closes a circle. The table is new and empty: adding and checking it holds nobody up.
alter table addresses add constraint addresses_of_guests_are_for_a_known_cart
foreign key (store_id, cart_id) references carts (store_id, id) on delete cascade;
