-- migrate:up
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid

-- Orders that a customer repeats: by a link, or into a cart.

-- A link with which a customer repeats an order. Its token is signed over store, id and token_version with the
-- key key_id, and not kept; its URL also names the order's code. carts_count counts the carts that it made, uses
-- those that became orders.
create table repeat_links (
    store_id bigint not null,
    id text collate "C" not null,
    order_id text collate "C" not null,
    order_code text not null,
    kind text not null default 'default',
    key_id text not null,
    token_version bigint not null default 1,
    expires_at timestamptz(3),
    max_uses bigint,
    uses bigint not null default 0,
    carts_count bigint not null default 0,
    revoked_at timestamptz(3),
    revoked_reason text,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint repeat_links_have_unique_ids primary key (store_id, id),
    constraint repeat_links_belong_to_an_order foreign key (store_id, order_id)
    references orders (store_id, id),
    constraint repeat_links_name_the_code_of_an_order foreign key (store_id, order_code)
    references orders (store_id, code),
    constraint repeat_links_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint repeat_links_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint repeat_links_have_a_known_kind check (kind in ('default', 'custom')),
    constraint repeat_links_have_a_positive_token_version check (token_version > 0),
    constraint repeat_links_allow_at_least_one_use check (max_uses > 0),
    constraint repeat_links_are_used_no_more_than_allowed check (uses >= 0 and uses <= coalesce(max_uses, uses)),
    constraint repeat_links_give_a_reason_only_when_revoked check (revoked_reason is null or revoked_at is not null)
);

create unique index one_live_default_link_per_order on repeat_links (store_id, order_id)
where kind = 'default' and revoked_at is null;
-- For an order's own.
create index repeat_links_by_order_id on repeat_links (store_id, order_id, id);

-- An order put into a cart again: what was asked (lines: null for all, else a list of {line_item_id, quantity})
-- and how it went. cart_id is null when nothing could be added.
create table reorders (
    store_id bigint not null,
    id text collate "C" not null,
    source_order_id text collate "C" not null,
    cart_id text collate "C",
    customer_id text collate "C",
    strategy text not null default 'append',
    stock_policy text not null default 'ignore',
    lines jsonb,
    expected_digest text,
    digest text not null,
    added_count bigint not null,
    adjusted_count bigint not null,
    skipped_count bigint not null,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint reorders_have_unique_ids primary key (store_id, id),
    constraint reorders_have_a_known_source_order foreign key (store_id, source_order_id)
    references orders (store_id, id),
    constraint reorders_fill_a_known_cart foreign key (store_id, cart_id)
    references carts (store_id, id),
    constraint reorders_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id),
    constraint reorders_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint reorders_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint reorders_have_a_known_strategy check (strategy in ('append', 'replace', 'new')),
    constraint reorders_have_a_known_stock_policy check (stock_policy in ('ignore', 'partial', 'skip')),
    constraint reorders_have_a_list_as_lines check (jsonb_typeof(lines) = 'array'),
    constraint reorders_have_no_negative_count check (added_count >= 0 and adjusted_count >= 0 and skipped_count >= 0)
);

-- For what was made from an order.
create index reorders_by_source_order_id on reorders (store_id, source_order_id, id);
-- For a cart's own.
create index reorders_by_cart_id on reorders (store_id, cart_id, id) where cart_id is not null;
-- For whose they are: `customer_id_eq`, a customer's own reads, erasing.
create index reorders_by_customer_id on reorders (store_id, customer_id, id) where customer_id is not null;
-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index reorders_by_created_at on reorders (store_id, created_at, id);

-- What became of one line of the source order.
create table reorder_outcomes (
    store_id bigint not null,
    id text collate "C" not null,
    reorder_id text collate "C" not null,
    position bigint not null,
    source_line_item_id text collate "C" not null,
    cart_item_id text collate "C",
    status text not null,
    code text,
    notices text[] not null default '{}',
    detail text,
    name text not null,
    sku_code text,
    sku_number bigint,
    requested_quantity bigint not null,
    resulting_quantity bigint not null,
    currency_code text not null,
    previous_unit_amount_cents bigint not null,
    current_unit_amount_cents bigint,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint reorder_outcomes_have_unique_ids primary key (store_id, id),
    constraint one_reorder_outcome_per_position unique (store_id, reorder_id, position),
    constraint one_reorder_outcome_per_source_line unique (store_id, reorder_id, source_line_item_id),
    constraint reorder_outcomes_belong_to_a_reorder foreign key (store_id, reorder_id)
    references reorders (store_id, id) on delete cascade,
    constraint reorder_outcomes_speak_of_a_known_line_item foreign key (store_id, source_line_item_id)
    references line_items (store_id, id),
    constraint reorder_outcomes_filled_a_known_cart_item foreign key (store_id, cart_item_id)
    references cart_items (store_id, id),
    constraint reorder_outcomes_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint reorder_outcomes_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint reorder_outcomes_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint reorder_outcomes_have_a_known_status check (status in ('added', 'adjusted', 'skipped')),
    constraint reorder_outcomes_have_a_code_unless_added check ((status = 'added') = (code is null)),
    constraint reorder_outcomes_that_adjust_have_a_known_code check (
        status <> 'adjusted' or code in (
            'quantity_reduced_stock', 'quantity_reduced_max', 'quantity_raised_min', 'quantity_rounded_step',
            'merged_into_existing_line'
        )
    ),
    constraint reorder_outcomes_that_skip_have_a_known_code check (
        status <> 'skipped' or code in (
            'product_deleted', 'product_disabled', 'not_published', 'no_price', 'currency_mismatch', 'option_invalid',
            'option_required', 'not_reorderable', 'out_of_stock', 'quantity_below_min'
        )
    ),
    constraint reorder_outcomes_have_known_notices check (
        notices <@ array[
            'price_increased', 'price_decreased', 'name_changed', 'coupon_dropped', 'low_stock'
        ]
    ),
    constraint reorder_outcomes_that_skip_add_nothing check ((status = 'skipped') = (resulting_quantity = 0)),
    constraint reorder_outcomes_have_sensible_quantities check (requested_quantity > 0 and resulting_quantity >= 0),
    constraint reorder_outcomes_have_no_negative_amount check (
        previous_unit_amount_cents >= 0 and current_unit_amount_cents >= 0
    )
);

-- For the foreign key, and what came of a line.
create index reorder_outcomes_by_source_line_item_id on reorder_outcomes (store_id, source_line_item_id, id);
-- For the foreign key, when an item is removed.
create index reorder_outcomes_by_cart_item_id on reorder_outcomes (store_id, cart_item_id, id)
where cart_item_id is not null;

-- References that close a circle. The tables are new and empty: adding and checking them holds nobody up.
alter table carts add constraint carts_come_from_a_known_repeat_link
foreign key (store_id, repeat_link_id) references repeat_links (store_id, id);

alter table cart_items add constraint cart_items_come_from_a_known_line_item
foreign key (store_id, source_line_item_id) references line_items (store_id, id);

alter table orders add constraint orders_come_from_a_known_repeat_link
foreign key (store_id, repeat_link_id) references repeat_links (store_id, id);

-- What proves that somebody is the customer of the order that a link repeats, by the rule of its store: signing in as
-- customer_id, or any of these answers.
create view repeat_link_proofs as
select
    repeat_links.store_id,
    repeat_links.id as repeat_link_id,
    stores.repeat_link_factor as rule,
    orders.customer_id,
    array_remove(
        case stores.repeat_link_factor
            when 'email' then array[orders.customer_email, customers.email]
            when 'zip_code' then array[billing.zip_code, shipping.zip_code]
            else '{}'
        end,
        null
    ) as answers
from repeat_links
inner join stores
    on repeat_links.store_id = stores.store_id
inner join orders
    on repeat_links.store_id = orders.store_id and repeat_links.order_id = orders.id
left join customers
    on orders.store_id = customers.store_id and orders.customer_id = customers.id
left join addresses as billing
    on orders.store_id = billing.store_id and orders.billing_address_id = billing.id
left join addresses as shipping
    on orders.store_id = shipping.store_id and orders.shipping_address_id = shipping.id;
