-- migrate:up

-- What was ordered.

-- An order. code is the number as customers see it on their papers. Addresses are snapshots. Discounts are zero
-- or negative; the total is the sum of the other amounts, to which taxes come unless they are included. A copy
-- points at its source order, the first order of a line of copies, its subscription and its occurrence.
-- coupon_counted says that the coupon counts this order among its uses.
create table orders (
    store_id bigint not null,
    id text collate "C" not null,
    number bigint not null,
    code text not null,
    status text not null default 'draft',
    payment_status text not null default 'unpaid',
    fulfillment_status text not null default 'unfulfilled',
    market_id text collate "C",
    customer_id text collate "C",
    customer_email text,
    guest boolean not null default false,
    language_code text not null default 'en',
    currency_code text not null,
    tax_included boolean not null default true,
    coupon_code text,
    coupon_counted boolean not null default false,
    billing_address_id text collate "C",
    shipping_address_id text collate "C",
    shipping_method_id text collate "C",
    payment_method_id text collate "C",
    customer_payment_source_id text collate "C",
    subtotal_amount_cents bigint not null default 0,
    shipping_amount_cents bigint not null default 0,
    payment_method_amount_cents bigint not null default 0,
    discount_amount_cents bigint not null default 0,
    adjustment_amount_cents bigint not null default 0,
    gift_card_amount_cents bigint not null default 0,
    subtotal_tax_amount_cents bigint not null default 0,
    shipping_tax_amount_cents bigint not null default 0,
    total_tax_amount_cents bigint not null default 0,
    total_amount_cents bigint not null default 0,
    cart_id text collate "C",
    repeat_link_id text collate "C",
    source_order_id text collate "C",
    root_order_id text collate "C",
    order_subscription_id text collate "C",
    occurrence_id text collate "C",
    cart_url text,
    return_url text,
    terms_url text,
    privacy_url text,
    expires_at timestamptz(3),
    placed_at timestamptz(3),
    approved_at timestamptz(3),
    cancelled_at timestamptz(3),
    payment_updated_at timestamptz(3),
    fulfillment_updated_at timestamptz(3),
    refreshed_at timestamptz(3),
    archived_at timestamptz(3),
    subscription_created_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint orders_have_unique_ids primary key (store_id, id),
    constraint one_order_per_number unique (store_id, number),
    constraint one_order_per_code unique (store_id, code),
    constraint one_order_per_cart unique (store_id, cart_id),
    constraint one_order_per_occurrence unique (store_id, occurrence_id),
    constraint orders_belong_to_a_market foreign key (store_id, market_id)
    references markets (store_id, id),
    constraint orders_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id),
    constraint orders_have_a_known_billing_address foreign key (store_id, billing_address_id)
    references addresses (store_id, id),
    constraint orders_have_a_known_shipping_address foreign key (store_id, shipping_address_id)
    references addresses (store_id, id),
    constraint orders_have_a_known_shipping_method foreign key (store_id, shipping_method_id)
    references shipping_methods (store_id, id),
    constraint orders_have_a_known_payment_method foreign key (store_id, payment_method_id)
    references payment_methods (store_id, id),
    constraint orders_have_a_known_customer_payment_source foreign key (store_id, customer_payment_source_id)
    references customer_payment_sources (store_id, id),
    constraint orders_come_from_a_known_cart foreign key (store_id, cart_id)
    references carts (store_id, id),
    constraint orders_are_copies_of_a_known_order foreign key (store_id, source_order_id)
    references orders (store_id, id),
    constraint orders_go_back_to_a_known_order foreign key (store_id, root_order_id)
    references orders (store_id, id),
    constraint orders_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint orders_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint orders_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint orders_have_a_positive_number check (number > 0),
    constraint orders_have_a_known_status check (
        status in ('draft', 'pending', 'placing', 'placed', 'approved', 'cancelled')
    ),
    constraint orders_have_a_known_payment_status check (
        payment_status in (
            'unpaid', 'authorized', 'partially_authorized', 'paid', 'partially_paid', 'voided', 'partially_voided',
            'refunded', 'partially_refunded', 'free'
        )
    ),
    constraint orders_have_a_known_fulfillment_status check (
        fulfillment_status in ('unfulfilled', 'in_progress', 'fulfilled', 'not_required')
    ),
    constraint orders_note_when_they_were_placed check (placed_at is not null or status not in ('placed', 'approved')),
    constraint orders_note_when_they_were_approved check (approved_at is not null or status <> 'approved'),
    constraint orders_note_when_they_were_cancelled check ((status = 'cancelled') = (cancelled_at is not null)),
    constraint orders_have_no_negative_amount check (
        subtotal_amount_cents >= 0 and shipping_amount_cents >= 0 and payment_method_amount_cents >= 0
        and subtotal_tax_amount_cents >= 0 and shipping_tax_amount_cents >= 0 and total_tax_amount_cents >= 0
        and total_amount_cents >= 0
    ),
    constraint orders_have_discounts_of_zero_or_less check (discount_amount_cents <= 0 and gift_card_amount_cents <= 0),
    constraint orders_of_an_occurrence_have_a_subscription check (
        occurrence_id is null or order_subscription_id is not null
    ),
    constraint orders_that_are_copies_know_their_root check ((source_order_id is null) = (root_order_id is null))
);

-- For `market_id_in`.
create index orders_by_market_id on orders (store_id, market_id, id) where market_id is not null;
-- For whose they are: `customer_id_eq`, a customer's own reads, erasing.
create index orders_by_customer_id on orders (store_id, customer_id, id) where customer_id is not null;
-- For the foreign key, when an address is deleted.
create index orders_by_billing_address_id on orders (store_id, billing_address_id, id)
where billing_address_id is not null;
-- For the foreign key, when an address is deleted.
create index orders_by_shipping_address_id on orders (store_id, shipping_address_id, id)
where shipping_address_id is not null;
-- For the foreign key.
create index orders_by_shipping_method_id on orders (store_id, shipping_method_id, id)
where shipping_method_id is not null;
-- For the foreign key.
create index orders_by_payment_method_id on orders (store_id, payment_method_id, id)
where payment_method_id is not null;
-- For the foreign key, when a wallet source is deleted.
create index orders_by_customer_payment_source_id on orders (store_id, customer_payment_source_id, id)
where customer_payment_source_id is not null;
-- For what came of a link.
create index orders_by_repeat_link_id on orders (store_id, repeat_link_id, id) where repeat_link_id is not null;
-- For what was made from an order.
create index orders_by_source_order_id on orders (store_id, source_order_id, id) where source_order_id is not null;
-- For the copies of an order.
create index orders_by_root_order_id on orders (store_id, root_order_id, id) where root_order_id is not null;
-- For a subscription's own: `order_subscription_id_eq`.
create index orders_by_order_subscription_id on orders (store_id, order_subscription_id, id)
where order_subscription_id is not null;
-- For `status_in`.
create index orders_by_status on orders (store_id, status, id);
-- For `payment_status_in`.
create index orders_by_payment_status on orders (store_id, payment_status, id);
-- For `fulfillment_status_in`.
create index orders_by_fulfillment_status on orders (store_id, fulfillment_status, id);
-- For `placed_at_gteq`, `sort=-placed_at`.
create index orders_by_placed_at on orders (store_id, placed_at, id);
-- For `customer_email_eq`, of guests too.
create index orders_by_customer_email on orders (store_id, customer_email, id);
-- For `total_amount_cents_gteq`.
create index orders_by_total_amount_cents on orders (store_id, total_amount_cents, id);
-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index orders_by_created_at on orders (store_id, created_at, id);
-- For clients that keep a copy: `updated_at_gteq`.
create index orders_by_updated_at on orders (store_id, updated_at, id);
-- For other systems that look for their own id: `reference_eq`.
create index orders_by_reference on orders (store_id, reference, id);

-- A line of an order, as it was bought. item_type says what it stands for: a sku or, as in Commerce Layer, costs
-- and discounts. The total is the quantity times the unit price plus the options, before the discount. price_mode says
-- whose price it has until the order is placed: the catalogue's (current), or one that was agreed on (fixed). stock_taken
-- is what was taken out of the stock for it, and is given back.
create table line_items (
    store_id bigint not null,
    id text collate "C" not null,
    order_id text collate "C" not null,
    item_type text not null default 'skus',
    sku_id text collate "C",
    sku_code text,
    name text not null,
    image_url text,
    position bigint not null default 0,
    options jsonb not null default '{}',
    quantity bigint not null,
    currency_code text not null,
    unit_amount_cents bigint not null,
    compare_at_amount_cents bigint,
    options_amount_cents bigint not null default 0,
    price_mode text not null default 'fixed',
    discount_cents bigint not null default 0,
    total_amount_cents bigint not null,
    tax_rate numeric(7, 6) not null default 0,
    tax_amount_cents bigint not null default 0,
    stock_taken bigint not null default 0,
    frequency text,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint line_items_have_unique_ids primary key (store_id, id),
    constraint line_items_belong_to_an_order foreign key (store_id, order_id)
    references orders (store_id, id) on delete cascade,
    constraint line_items_hold_a_known_sku foreign key (store_id, sku_id)
    references skus (store_id, id),
    constraint line_items_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint line_items_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint line_items_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint line_items_have_a_known_item_type check (
        item_type in (
            'skus', 'bundles', 'gift_cards', 'shipments', 'payment_methods', 'adjustments', 'discount_engine_items',
            'percentage_discount_promotions', 'free_shipping_promotions', 'buy_x_pay_y_promotions',
            'free_gift_promotions', 'fixed_price_promotions', 'external_promotions', 'fixed_amount_promotions',
            'flex_promotions'
        )
    ),
    constraint line_items_of_skus_have_a_sku_code check (item_type <> 'skus' or sku_code is not null),
    constraint line_items_have_an_object_as_options check (jsonb_typeof(options) = 'object'),
    constraint line_items_have_a_positive_quantity check (quantity > 0),
    constraint line_items_of_skus_have_no_negative_amount check (
        item_type <> 'skus' or (unit_amount_cents >= 0 and total_amount_cents >= 0)
    ),
    constraint line_items_have_a_known_price_mode check (price_mode in ('current', 'fixed')),
    constraint line_items_took_no_negative_stock check (stock_taken >= 0),
    constraint line_items_have_discounts_of_zero_or_less check (discount_cents <= 0),
    constraint line_items_have_a_tax_rate_between_0_and_1 check (tax_rate between 0 and 1)
);

-- For an order's own.
create index line_items_by_order_id on line_items (store_id, order_id, id);
-- For the rows of a sku; its foreign key.
create index line_items_by_sku_id on line_items (store_id, sku_id, id) where sku_id is not null;
-- For `sku_code_in`, `sku_code_start`.
create index line_items_by_sku_code on line_items (store_id, sku_code, id);

-- A payment that a gateway is asked for, written before it is. key makes the gateway do it once, however often it is
-- called; source_token is its own name of what is paid with, gateway_url where it is. While the gateway is being asked
-- for the money (pending) or told to let go of it (voiding), somebody is at it until lease_expires_at; whoever comes later
-- goes on with it. asked counts who has set out to ask. The money of a refused attempt is asked for anew at retry_at.
create table payment_attempts (
    store_id bigint not null,
    id text collate "C" not null,
    order_id text collate "C" not null,
    customer_payment_source_id text collate "C",
    key text not null,
    gateway text not null,
    gateway_url text,
    source_token text,
    saved_to_wallet boolean not null default false,
    saved_to_subscription boolean not null default false,
    status text not null default 'pending',
    asked bigint not null default 0,
    currency_code text not null,
    amount_cents bigint not null,
    gateway_reference text,
    decline_code text,
    detail text,
    answered_at timestamptz(3),
    retry_at timestamptz(3),
    lease_expires_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    constraint payment_attempts_have_unique_ids primary key (store_id, id),
    constraint one_payment_attempt_per_key unique (store_id, key),
    constraint payment_attempts_belong_to_an_order foreign key (store_id, order_id)
    references orders (store_id, id),
    constraint payment_attempts_have_a_known_customer_payment_source foreign key (store_id, customer_payment_source_id)
    references customer_payment_sources (store_id, id),
    constraint payment_attempts_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint payment_attempts_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint payment_attempts_have_a_known_gateway check (gateway in ('manual', 'test', 'external')),
    constraint payment_attempts_have_a_known_status check (
        status in ('pending', 'authorized', 'paid', 'declined', 'failed', 'voiding', 'voided')
    ),
    constraint payment_attempts_are_held_while_the_gateway_is_asked check (
        (status in ('pending', 'voiding')) = (lease_expires_at is not null)
    ),
    constraint payment_attempts_note_when_they_were_answered check ((status = 'pending') = (answered_at is null)),
    constraint payment_attempts_have_no_negative_amount check (amount_cents >= 0)
);

-- For an order's own.
create index payment_attempts_by_order_id on payment_attempts (store_id, order_id, id);
-- For the foreign key, when a wallet source is deleted.
create index payment_attempts_by_customer_payment_source_id
on payment_attempts (store_id, customer_payment_source_id, id)
where customer_payment_source_id is not null;
create unique index one_open_payment_attempt_per_order on payment_attempts (store_id, order_id)
where lease_expires_at is not null;
-- For the worker, which takes up what was left behind.
create index payment_attempts_by_lease_expires_at on payment_attempts (lease_expires_at, id)
where lease_expires_at is not null;
-- For the worker, which tries again.
create index payment_attempts_by_retry_at on payment_attempts (retry_at, store_id) where retry_at is not null;

-- Which tags an order carries.
create table order_tags (
    store_id bigint not null,
    order_id text collate "C" not null,
    tag_id text collate "C" not null,
    constraint orders_carry_a_tag_once primary key (store_id, order_id, tag_id),
    constraint order_tags_belong_to_an_order foreign key (store_id, order_id)
    references orders (store_id, id) on delete cascade,
    constraint order_tags_belong_to_a_tag foreign key (store_id, tag_id)
    references tags (store_id, id) on delete cascade
);

-- For `tags_id_in`.
create index order_tags_by_tag_id on order_tags (store_id, tag_id, order_id);
