-- migrate:up
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid

-- Orders that come again by themselves: subscriptions, their occurrences and the copies they lead to.

-- Which frequencies a store offers, and how an order's lines become subscriptions.
create table subscription_models (
    store_id bigint not null,
    id text collate "C" not null,
    name text not null,
    strategy text not null default 'by_frequency',
    frequencies text[] not null,
    auto_activate boolean not null default true,
    auto_cancel boolean not null default false,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint subscription_models_have_unique_ids primary key (store_id, id),
    constraint subscription_models_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint subscription_models_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint subscription_models_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint subscription_models_have_a_known_strategy check (strategy in ('by_frequency', 'by_line_items')),
    constraint subscription_models_offer_a_frequency check (cardinality(frequencies) > 0)
);


-- A standing order. Occurrence n falls n - anchor_index periods after the anchor on the wall clock of its time zone;
-- anchor_wall is what that clock shows at the anchor, where something else than at anchor_at, phase_on the day from whose
-- period another frequency counts, phase_at the instant from which a crontab does. The source order is occurrence 0,
-- next_index the next to run and next_run_at its instant, ended_at when there was none any more. running is no status: it
-- follows from a live copy. alerted_* is what the last alert announced: of which run, at what total; alert_again_at is
-- when that total is looked at again, next_alert_at when the next look for an alert is due.
create table order_subscriptions (
    store_id bigint not null,
    id text collate "C" not null,
    number bigint not null,
    status text not null default 'draft',
    frequency text not null,
    interval_unit text,
    interval_count bigint,
    weekdays text[],
    cutoff_hours bigint not null default 0,
    min_days_between_runs bigint,
    last_day boolean not null default false,
    timezone text not null,
    source_order_id text collate "C" not null,
    subscription_model_id text collate "C",
    market_id text collate "C",
    customer_id text collate "C",
    customer_email text,
    customer_payment_source_id text collate "C",
    billing_address_id text collate "C",
    shipping_address_id text collate "C",
    shipping_method_id text collate "C",
    payment_method_id text collate "C",
    activate_by_source_order boolean not null default true,
    place_target_order boolean not null default true,
    renewal_alert_period bigint not null default 1,
    price_mode text not null default 'fixed',
    max_increase_percent numeric(6, 2),
    catchup_policy text not null default 'run_once',
    unavailable_policy text,
    max_occurrences bigint,
    anchor_at timestamptz(3),
    anchor_index bigint not null default 0,
    -- What the clock on the wall shows, in the subscription's own zone.
    -- squawk-ignore prefer-timestamp-tz
    anchor_wall timestamp(3),
    phase_on date,
    phase_at timestamptz(3),
    next_index bigint not null default 1,
    starts_at timestamptz(3),
    expires_at timestamptz(3),
    next_run_at timestamptz(3),
    alerted_run_at timestamptz(3),
    alerted_amount_cents bigint,
    alert_again_at timestamptz(3),
    next_alert_at timestamptz(3) generated always as (
        case
            when next_run_at = alerted_run_at then alert_again_at
            else (
                (next_run_at at time zone 'UTC') - make_interval(hours => renewal_alert_period::integer)
            ) at time zone 'UTC'
        end
    ) stored,
    last_run_at timestamptz(3),
    paused_until timestamptz(3),
    parked_at timestamptz(3),
    parked_reason text,
    unparked_at timestamptz(3),
    ended_at timestamptz(3),
    cancelled_at timestamptz(3),
    occurrencies bigint not null default 0,
    errors_count bigint not null default 0,
    succeeded_on_last_run boolean not null default true,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint order_subscriptions_have_unique_ids primary key (store_id, id),
    constraint one_order_subscription_per_number unique (store_id, number),
    constraint order_subscriptions_have_a_known_source_order foreign key (store_id, source_order_id)
    references orders (store_id, id),
    constraint order_subscriptions_have_a_known_subscription_model foreign key (store_id, subscription_model_id)
    references subscription_models (store_id, id),
    constraint order_subscriptions_belong_to_a_market foreign key (store_id, market_id)
    references markets (store_id, id),
    constraint order_subscriptions_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id),
    constraint order_subscriptions_have_a_known_customer_payment_source
    foreign key (store_id, customer_payment_source_id) references customer_payment_sources (store_id, id),
    constraint order_subscriptions_have_a_known_billing_address foreign key (store_id, billing_address_id)
    references addresses (store_id, id),
    constraint order_subscriptions_have_a_known_shipping_address foreign key (store_id, shipping_address_id)
    references addresses (store_id, id),
    constraint order_subscriptions_have_a_known_shipping_method foreign key (store_id, shipping_method_id)
    references shipping_methods (store_id, id),
    constraint order_subscriptions_have_a_known_payment_method foreign key (store_id, payment_method_id)
    references payment_methods (store_id, id),
    constraint order_subscriptions_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint order_subscriptions_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint order_subscriptions_have_a_positive_number check (number > 0),
    constraint order_subscriptions_have_a_known_status check (status in ('draft', 'active', 'inactive', 'cancelled')),
    constraint order_subscriptions_alert_1_to_720_hours_before check (renewal_alert_period between 1 and 720),
    constraint order_subscriptions_have_a_known_price_mode check (price_mode in ('current', 'fixed')),
    constraint order_subscriptions_have_no_negative_max_increase check (max_increase_percent >= 0),
    constraint order_subscriptions_have_a_known_catchup_policy check (
        catchup_policy in ('run_once', 'run_all', 'skip')
    ),
    constraint order_subscriptions_have_a_known_unavailable_policy check (
        unavailable_policy in ('fail', 'skip_line', 'partial', 'substitute')
    ),
    constraint order_subscriptions_have_a_positive_max_occurrences check (max_occurrences > 0),
    constraint order_subscriptions_have_a_known_interval_unit check (interval_unit in ('day', 'week', 'month', 'year')),
    constraint order_subscriptions_have_a_positive_interval_count check (interval_count > 0),
    constraint order_subscriptions_have_a_unit_and_a_count check ((interval_unit is null) = (interval_count is null)),
    constraint order_subscriptions_have_weekdays_of_weeks check (weekdays is null or interval_unit = 'week'),
    constraint order_subscriptions_are_cut_off_0_to_720_hours_before check (cutoff_hours between 0 and 720),
    constraint order_subscriptions_have_1_to_366_days_between_runs check (min_days_between_runs between 1 and 366),
    constraint order_subscriptions_count_from_one check (next_index > 0),
    constraint order_subscriptions_that_run_next_have_an_anchor check (next_run_at is null or anchor_at is not null),
    constraint order_subscriptions_that_have_ended_do_not_run check (ended_at is null or next_run_at is null),
    constraint order_subscriptions_expire_after_they_start check (expires_at > starts_at),
    constraint order_subscriptions_that_are_cancelled_do_not_run check (status <> 'cancelled' or next_run_at is null),
    constraint order_subscriptions_note_when_they_were_cancelled check (
        (status = 'cancelled') = (cancelled_at is not null)
    ),
    constraint order_subscriptions_have_no_negative_count check (occurrencies >= 0 and errors_count >= 0)
);

-- For what was made from an order.
create index order_subscriptions_by_source_order_id on order_subscriptions (store_id, source_order_id, id);
-- For the subscriptions of a model.
create index order_subscriptions_by_subscription_model_id on order_subscriptions (store_id, subscription_model_id, id)
where subscription_model_id is not null;
-- For `market_id_in`.
create index order_subscriptions_by_market_id on order_subscriptions (store_id, market_id, id)
where market_id is not null;
-- For whose they are: `customer_id_eq`, a customer's own reads, erasing.
create index order_subscriptions_by_customer_id on order_subscriptions (store_id, customer_id, id)
where customer_id is not null;
-- For the foreign key, when a wallet source is deleted.
create index order_subscriptions_by_customer_payment_source_id
on order_subscriptions (store_id, customer_payment_source_id, id)
where customer_payment_source_id is not null;
-- For the foreign key, when an address is deleted.
create index order_subscriptions_by_billing_address_id on order_subscriptions (store_id, billing_address_id, id)
where billing_address_id is not null;
-- For the foreign key, when an address is deleted.
create index order_subscriptions_by_shipping_address_id on order_subscriptions (store_id, shipping_address_id, id)
where shipping_address_id is not null;
-- For the foreign key.
create index order_subscriptions_by_shipping_method_id on order_subscriptions (store_id, shipping_method_id, id)
where shipping_method_id is not null;
-- For the foreign key.
create index order_subscriptions_by_payment_method_id on order_subscriptions (store_id, payment_method_id, id)
where payment_method_id is not null;
-- For `status_in`.
create index order_subscriptions_by_status on order_subscriptions (store_id, status, id);
-- For what runs next: `sort=next_run_at`.
create index order_subscriptions_by_next_run_at on order_subscriptions (store_id, next_run_at, id);
-- For the sweep.
create index order_subscriptions_due on order_subscriptions (next_run_at, store_id, id) where status = 'active';
-- For the worker's alerts.
create index order_subscriptions_alerting on order_subscriptions (next_alert_at, store_id, next_run_at, id)
where status = 'active' and next_alert_at is not null;
-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index order_subscriptions_by_created_at on order_subscriptions (store_id, created_at, id);
-- For clients that keep a copy: `updated_at_gteq`.
create index order_subscriptions_by_updated_at on order_subscriptions (store_id, updated_at, id);
-- For other systems that look for their own id: `reference_eq`.
create index order_subscriptions_by_reference on order_subscriptions (store_id, reference, id);

-- What a subscription orders each time. Without a price mode of its own, an item follows its subscription's:
-- fixed keeps unit_amount_cents, current takes the price of the day. priced_by_hand says that an integration set the
-- price: then it stays whatever the quantity is. What it is swapped to counts from the run of an index on.
create table order_subscription_items (
    store_id bigint not null,
    id text collate "C" not null,
    order_subscription_id text collate "C" not null,
    sku_id text collate "C" not null,
    source_line_item_id text collate "C",
    sku_code text not null,
    name text not null,
    options jsonb not null default '{}',
    quantity bigint not null,
    price_mode text,
    currency_code text not null,
    unit_amount_cents bigint not null,
    priced_by_hand boolean not null default false,
    total_amount_cents bigint not null,
    swap_occurrence_index bigint,
    swap_sku_id text collate "C",
    swap_sku_code text,
    swap_name text,
    swap_unit_amount_cents bigint,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint order_subscription_items_have_unique_ids primary key (store_id, id),
    constraint order_subscription_items_belong_to_an_order_subscription foreign key (store_id, order_subscription_id)
    references order_subscriptions (store_id, id) on delete cascade,
    constraint order_subscription_items_hold_a_known_sku foreign key (store_id, sku_id)
    references skus (store_id, id),
    constraint order_subscription_items_come_from_a_known_line_item foreign key (store_id, source_line_item_id)
    references line_items (store_id, id),
    constraint order_subscription_items_are_swapped_to_a_known_sku foreign key (store_id, swap_sku_id)
    references skus (store_id, id),
    constraint order_subscription_items_are_swapped_whole_or_not check (
        num_nulls(swap_occurrence_index, swap_sku_id, swap_sku_code, swap_name, swap_unit_amount_cents) in (0, 5)
    ),
    constraint order_subscription_items_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint order_subscription_items_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint order_subscription_items_have_a_currency_code check (currency_code ~ '^[A-Z]{3}$'),
    constraint order_subscription_items_have_an_object_as_options check (jsonb_typeof(options) = 'object'),
    constraint order_subscription_items_have_a_positive_quantity check (quantity > 0),
    constraint order_subscription_items_have_a_known_price_mode check (price_mode in ('current', 'fixed')),
    constraint order_subscription_items_have_no_negative_amount check (
        unit_amount_cents >= 0 and total_amount_cents >= 0 and swap_unit_amount_cents >= 0
    )
);

-- For a subscription's own: `order_subscription_id_eq`.
create index order_subscription_items_by_order_subscription_id
on order_subscription_items (store_id, order_subscription_id, id);
-- For the rows of a sku; its foreign key.
create index order_subscription_items_by_sku_id on order_subscription_items (store_id, sku_id, id);
-- For the foreign key.
create index order_subscription_items_by_swap_sku_id on order_subscription_items (store_id, swap_sku_id, id)
where swap_sku_id is not null;
-- For runs, which ask what of their subscription is to be swapped: of most, nothing.
create index order_subscription_items_to_be_swapped on order_subscription_items (store_id, order_subscription_id, id)
where swap_occurrence_index is not null;
-- For the foreign key, and what came of a line.
create index order_subscription_items_by_source_line_item_id
on order_subscription_items (store_id, source_line_item_id, id)
where source_line_item_id is not null;
-- For `sku_code_in`, `sku_code_start`.
create index order_subscription_items_by_sku_code on order_subscription_items (store_id, sku_code, id);

-- The ledger of a subscription: one row per occurrence, past, due or planned. nominal_at is where the calendar
-- puts it, scheduled_at when it runs; reason says why it was moved, skipped, missed or failed. One that would cost more
-- than its subscription allows is held at held_amount_cents, until somebody agrees to approved_amount_cents.
create table occurrences (
    store_id bigint not null,
    id text collate "C" not null,
    order_subscription_id text collate "C" not null,
    occurrence_index bigint not null,
    status text not null default 'planned',
    nominal_at timestamptz(3) not null,
    scheduled_at timestamptz(3) not null,
    claimed_at timestamptz(3),
    completed_at timestamptz(3),
    alerted_at timestamptz(3),
    held_at timestamptz(3),
    held_amount_cents bigint,
    approved_amount_cents bigint,
    currency_code text,
    reason text,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint occurrences_have_unique_ids primary key (store_id, id),
    constraint one_occurrence_per_index unique (store_id, order_subscription_id, occurrence_index),
    constraint occurrences_belong_to_an_order_subscription foreign key (store_id, order_subscription_id)
    references order_subscriptions (store_id, id),
    constraint occurrences_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint occurrences_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint occurrences_count_from_zero check (occurrence_index >= 0),
    constraint occurrences_have_a_known_status check (
        status in ('planned', 'due', 'held', 'claimed', 'completed', 'skipped', 'missed', 'failed')
    ),
    constraint occurrences_note_what_they_are_held_at check (
        (held_at is not null and held_amount_cents is not null and currency_code is not null)
        or (status <> 'held' and approved_amount_cents is null)
    ),
    constraint occurrences_note_when_they_were_claimed check (claimed_at is not null or status <> 'claimed'),
    constraint occurrences_note_when_they_were_completed check ((status = 'completed') = (completed_at is not null))
);

-- For a subscription's own: `order_subscription_id_eq`.
create index occurrences_held on occurrences (store_id, order_subscription_id, id) where status = 'held';
-- For `status_in`.
create index occurrences_by_status on occurrences (store_id, status, id);
-- For what runs when: `sort=scheduled_at`.
create index occurrences_by_scheduled_at on occurrences (store_id, scheduled_at, id);

-- Copies of orders, of both kinds. A worker claims a copy by raising attempt and taking a lease; what it
-- finishes counts only while status is in_progress and attempt is still its own. errors_log maps an attribute to
-- its messages.
create table order_factories (
    store_id bigint not null,
    id text collate "C" not null,
    kind text not null,
    status text not null default 'pending',
    source_order_id text collate "C" not null,
    target_order_id text collate "C",
    order_subscription_id text collate "C",
    occurrence_id text collate "C",
    place_target_order boolean not null default false,
    reuse_wallet boolean not null default true,
    cancel_source_order boolean not null default false,
    apply_promotions boolean not null default false,
    skip_errors boolean not null default false,
    ignore_invalid_coupon boolean not null default false,
    started_at timestamptz(3),
    completed_at timestamptz(3),
    failed_at timestamptz(3),
    errors_log jsonb,
    outcomes jsonb,
    errors_count bigint not null default 0,
    attempt bigint not null default 0,
    lease_expires_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint order_factories_have_unique_ids primary key (store_id, id),
    constraint one_copy_per_target_order unique (store_id, target_order_id),
    constraint order_factories_have_a_known_source_order foreign key (store_id, source_order_id)
    references orders (store_id, id),
    constraint order_factories_have_a_known_target_order foreign key (store_id, target_order_id)
    references orders (store_id, id),
    constraint order_factories_have_a_known_order_subscription foreign key (store_id, order_subscription_id)
    references order_subscriptions (store_id, id),
    constraint order_factories_have_a_known_occurrence foreign key (store_id, occurrence_id)
    references occurrences (store_id, id),
    constraint order_factories_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint order_factories_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint order_factories_have_a_known_kind check (kind in ('order_copies', 'recurring_order_copies')),
    constraint order_factories_have_a_known_status check (
        status in ('pending', 'in_progress', 'aborted', 'failed', 'completed')
    ),
    constraint recurring_order_copies_have_an_order_subscription check (
        kind <> 'recurring_order_copies' or order_subscription_id is not null
    ),
    constraint recurring_order_copies_have_no_options_of_order_copies check (
        kind <> 'recurring_order_copies'
        or not (cancel_source_order or apply_promotions or skip_errors or ignore_invalid_coupon)
    ),
    constraint order_factories_of_an_occurrence_have_a_subscription check (
        occurrence_id is null or order_subscription_id is not null
    ),
    constraint order_factories_hold_a_lease_while_in_progress check (
        (status = 'in_progress') = (lease_expires_at is not null)
        and (status <> 'in_progress' or (started_at is not null and attempt > 0))
    ),
    constraint order_factories_have_a_target_order_once_completed check (
        status <> 'completed' or (completed_at is not null and target_order_id is not null)
    ),
    constraint order_factories_note_when_they_failed check (failed_at is not null or status <> 'failed'),
    constraint order_factories_have_an_object_as_errors_log check (jsonb_typeof(errors_log) = 'object'),
    constraint order_factories_have_no_negative_count check (errors_count >= 0 and attempt >= 0)
);

create unique index one_live_copy_per_occurrence on order_factories (store_id, occurrence_id)
where occurrence_id is not null and status not in ('failed', 'aborted');
-- For what was made from an order.
create index order_factories_by_source_order_id on order_factories (store_id, source_order_id, id);
-- For a subscription's own: `order_subscription_id_eq`.
create index order_factories_by_order_subscription_id on order_factories (store_id, order_subscription_id, id)
where order_subscription_id is not null;
-- For the copies of an occurrence.
create index order_factories_by_occurrence_id on order_factories (store_id, occurrence_id, id)
where occurrence_id is not null;
-- For the two types that share the table.
create index order_factories_by_kind on order_factories (store_id, kind, id);
-- For `status_in`.
create index order_factories_by_status on order_factories (store_id, status, id);
-- For a subscription's own: `order_subscription_id_eq`.
create index order_factories_live on order_factories (store_id, order_subscription_id, id)
where status in ('pending', 'in_progress');
-- For the worker, which takes up what was left behind.
create index order_factories_leased on order_factories (lease_expires_at nulls first, id)
where status in ('pending', 'in_progress');
-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index order_factories_by_created_at on order_factories (store_id, created_at, id);

-- Which tags an order subscription carries.
create table order_subscription_tags (
    store_id bigint not null,
    order_subscription_id text collate "C" not null,
    tag_id text collate "C" not null,
    constraint order_subscriptions_carry_a_tag_once primary key (store_id, order_subscription_id, tag_id),
    constraint order_subscription_tags_belong_to_an_order_subscription foreign key (store_id, order_subscription_id)
    references order_subscriptions (store_id, id) on delete cascade,
    constraint order_subscription_tags_belong_to_a_tag foreign key (store_id, tag_id)
    references tags (store_id, id) on delete cascade
);

-- For `tags_id_in`.
create index order_subscription_tags_by_tag_id on order_subscription_tags (store_id, tag_id, order_subscription_id);

-- References that close a circle. The tables are new and empty: adding and checking them holds nobody up.
alter table orders add constraint orders_come_from_a_known_order_subscription
foreign key (store_id, order_subscription_id) references order_subscriptions (store_id, id);

alter table orders add constraint orders_come_from_a_known_occurrence
foreign key (store_id, occurrence_id) references occurrences (store_id, id);

-- Payments of runs that were refused and are to be asked for anew at due_at, which is retry_at unless the subscription is
-- paused for longer. One that doesn't run is not charged; nor is an order that was placed or cancelled meanwhile.
create view payment_retries as
select
    payment_attempts.store_id,
    payment_attempts.order_id,
    orders.order_subscription_id,
    payment_attempts.retry_at,
    greatest(payment_attempts.retry_at, order_subscriptions.paused_until) as due_at
from payment_attempts
inner join orders
    on payment_attempts.store_id = orders.store_id and payment_attempts.order_id = orders.id
inner join order_subscriptions
    on orders.store_id = order_subscriptions.store_id and orders.order_subscription_id = order_subscriptions.id
where
    payment_attempts.retry_at is not null
    and orders.status = 'pending'
    and order_subscriptions.status = 'active'
    and order_subscriptions.parked_at is null;
