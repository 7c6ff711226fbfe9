-- migrate:up

-- What can be bought, at which price, and how it is shipped and paid.

-- Whether something is offered at an instant: from one on, until another; null sets no limit. Whatever can be switched off,
-- runs out or begins later is offered by this rule, so that no two routes disagree.
create function is_offered(since timestamptz, till timestamptz, instant timestamptz) returns boolean
language sql immutable parallel safe
return coalesce(since <= instant, true) and coalesce(till > instant, true);

-- Whether a way to ship or to pay can be chosen at an instant for something in a currency.
create function can_be_chosen(
    disabled_at timestamptz, currency_code text, wanted_currency_code text, instant timestamptz
) returns boolean
language sql immutable parallel safe
return is_offered(null, disabled_at, instant) and currency_code = wanted_currency_code;

-- A group of customers with prices and promotions of its own.
create table customer_groups (
    store_id bigint not null,
    id text collate "C" not null,
    name text not null,
    code text,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint customer_groups_have_unique_ids primary key (store_id, id),
    constraint one_customer_group_per_code unique (store_id, code),
    constraint customer_groups_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint customer_groups_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint customer_groups_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object')
);


-- A sellable product. options declares what a buyer chooses: a list of {name, required, values}. tax_rate is a
-- fraction (0.21). A sku is on sale from published_at (null: always) until disabled_at; deleted_at keeps the row
-- for the orders that hold it.
create table skus (
    store_id bigint not null,
    id text collate "C" not null,
    number bigint not null,
    code text not null,
    name text not null,
    description text,
    image_url text,
    options jsonb not null default '[]',
    min_quantity bigint not null default 1,
    max_quantity bigint,
    step_quantity bigint not null default 1,
    tax_rate numeric(7, 6) not null default 0,
    pieces_per_pack bigint,
    weight double precision,
    unit_of_weight text,
    hs_tariff_number text,
    do_not_ship boolean not null default false,
    do_not_track boolean not null default false,
    reorderable boolean not null default true,
    published_at timestamptz(3),
    disabled_at timestamptz(3),
    deleted_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint skus_have_unique_ids primary key (store_id, id),
    constraint one_sku_per_number unique (store_id, number),
    constraint one_sku_per_code unique (store_id, code),
    constraint skus_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint skus_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint skus_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint skus_have_a_positive_number check (number > 0),
    constraint skus_have_a_list_as_options check (jsonb_typeof(options) = 'array'),
    constraint skus_have_sensible_quantity_limits check (
        min_quantity > 0 and step_quantity > 0
        and max_quantity >= min_quantity
    ),
    constraint skus_have_a_tax_rate_between_0_and_1 check (tax_rate between 0 and 1),
    constraint skus_have_a_known_unit_of_weight check (unit_of_weight in ('gr', 'oz', 'lb'))
);

-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index skus_by_created_at on skus (store_id, created_at, id);
-- For clients that keep a copy: `updated_at_gteq`.
create index skus_by_updated_at on skus (store_id, updated_at, id);
-- For other systems that look for their own id: `reference_eq`.
create index skus_by_reference on skus (store_id, reference, id);

-- What a sku costs: the lowest price whose customer group, window [starts_at, expires_at) and minimum quantity
-- apply.
create table prices (
    store_id bigint not null,
    id text collate "C" not null,
    sku_id text collate "C" not null,
    customer_group_id text collate "C",
    currency_code text not null,
    amount_cents bigint not null,
    compare_at_amount_cents bigint,
    min_quantity bigint not null default 1,
    starts_at timestamptz(3),
    expires_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint prices_have_unique_ids primary key (store_id, id),
    constraint prices_belong_to_a_sku foreign key (store_id, sku_id)
    references skus (store_id, id),
    constraint prices_are_for_a_known_customer_group foreign key (store_id, customer_group_id)
    references customer_groups (store_id, id),
    constraint prices_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint prices_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint prices_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint prices_are_not_negative check (amount_cents >= 0 and compare_at_amount_cents >= 0),
    constraint prices_have_a_positive_min_quantity check (min_quantity > 0),
    constraint prices_expire_after_they_start check (expires_at > starts_at)
);

-- For the rows of a sku; its foreign key.
create index prices_by_sku_id on prices (store_id, sku_id, id);
-- For the members and prices of a group.
create index prices_by_customer_group_id on prices (store_id, customer_group_id, id)
where customer_group_id is not null;

-- A discount: percentage of, or amount_cents off, the lines it applies to. Without a coupon code it applies by
-- itself. sku_codes limits it to those skus; an empty list means all. uses counts the orders that were made with the
-- coupon, of which there are at most max_uses.
create table promotions (
    store_id bigint not null,
    id text collate "C" not null,
    name text not null,
    kind text not null,
    coupon_code text,
    percentage numeric(5, 2),
    amount_cents bigint,
    currency_code text,
    minimum_subtotal_cents bigint,
    sku_codes text[] not null default '{}',
    customer_group_id text collate "C",
    max_uses bigint,
    uses bigint not null default 0,
    starts_at timestamptz(3),
    expires_at timestamptz(3),
    disabled_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint promotions_have_unique_ids primary key (store_id, id),
    constraint one_promotion_per_coupon_code unique (store_id, coupon_code),
    constraint promotions_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint promotions_are_for_a_known_customer_group foreign key (store_id, customer_group_id)
    references customer_groups (store_id, id),
    constraint promotions_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint promotions_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint promotions_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint promotions_have_a_known_kind check (kind in ('percent', 'fixed')),
    constraint promotions_discount_by_percentage_or_amount check (
        (kind = 'percent' and percentage is not null and amount_cents is null)
        or (kind = 'fixed' and amount_cents is not null and percentage is null)
    ),
    constraint promotions_discount_at_most_everything check (percentage > 0 and percentage <= 100),
    constraint promotions_have_positive_amounts check (amount_cents > 0 and minimum_subtotal_cents > 0),
    constraint promotions_with_amounts_have_a_currency check (
        currency_code is not null
        or (amount_cents is null and minimum_subtotal_cents is null)
    ),
    constraint promotions_with_limited_uses_have_a_coupon_code check (max_uses is null or coupon_code is not null),
    constraint promotions_allow_at_least_one_use check (max_uses > 0),
    constraint promotions_are_used_no_more_than_allowed check (uses >= 0 and uses <= coalesce(max_uses, uses)),
    constraint promotions_expire_after_they_start check (expires_at > starts_at)
);

-- For the members and prices of a group.
create index promotions_by_customer_group_id on promotions (store_id, customer_group_id, id)
where customer_group_id is not null;

-- How many of a sku there are. A sku without a row, or with do_not_track, is always in stock.
create table stock_items (
    store_id bigint not null,
    id text collate "C" not null,
    sku_id text collate "C" not null,
    quantity bigint not null,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint stock_items_have_unique_ids primary key (store_id, id),
    constraint one_stock_item_per_sku unique (store_id, sku_id),
    constraint stock_items_belong_to_a_sku foreign key (store_id, sku_id)
    references skus (store_id, id),
    constraint stock_items_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint stock_items_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint stock_items_never_go_below_zero check (quantity >= 0)
);


-- A way to ship an order, at a flat price.
create table shipping_methods (
    store_id bigint not null,
    id text collate "C" not null,
    name text not null,
    currency_code text not null,
    price_amount_cents bigint not null default 0,
    disabled_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint shipping_methods_have_unique_ids primary key (store_id, id),
    constraint shipping_methods_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint shipping_methods_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint shipping_methods_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint shipping_methods_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint shipping_methods_have_no_negative_price check (price_amount_cents >= 0)
);


-- A way to pay: the kind of payment source that a client sees, and the gateway that does it.
create table payment_methods (
    store_id bigint not null,
    id text collate "C" not null,
    name text not null,
    payment_source_type text not null,
    gateway text not null,
    currency_code text not null,
    price_amount_cents bigint not null default 0,
    moto boolean not null default false,
    require_capture boolean not null default true,
    auto_place boolean not null default false,
    auto_capture boolean not null default false,
    disabled_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint payment_methods_have_unique_ids primary key (store_id, id),
    constraint payment_methods_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint payment_methods_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint payment_methods_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint payment_methods_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint payment_methods_have_a_known_payment_source_type check (
        payment_source_type in (
            'adyen_payments', 'axerve_payments', 'braintree_payments', 'checkout_com_payments', 'external_payments',
            'klarna_payments', 'paypal_payments', 'satispay_payments', 'stripe_payments', 'wire_transfers'
        )
    ),
    constraint payment_methods_have_a_known_gateway check (gateway in ('manual', 'test', 'external')),
    constraint payment_methods_have_no_negative_price check (price_amount_cents >= 0)
);
