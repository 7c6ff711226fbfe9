-- migrate:up
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid

-- A link with which a customer does one thing to a subscription. Its token is signed over store and id, and not kept.
-- occurrence_index says which run of the subscription it is about: rows of runs to come are planned anew now and then.
create table action_links (
    store_id bigint not null,
    id text collate "C" not null,
    order_subscription_id text collate "C" not null,
    action text not null,
    occurrence_index bigint,
    order_id text collate "C",
    days bigint,
    sku_code text,
    swap_sku_code text,
    expires_at timestamptz(3) not null,
    used_at timestamptz(3),
    revoked_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint action_links_have_unique_ids primary key (store_id, id),
    constraint action_links_belong_to_an_order_subscription foreign key (store_id, order_subscription_id)
    references order_subscriptions (store_id, id),
    constraint action_links_pay_a_known_order foreign key (store_id, order_id)
    references orders (store_id, id),
    constraint action_links_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint action_links_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint action_links_have_a_known_action check (
        action in ('skip', 'delay', 'pause', 'resume', 'cancel', 'approve', 'reject', 'manage', 'pay', 'order_now', 'swap')
    ),
    constraint action_links_name_a_run_for_what_is_done_to_one check (
        action = 'pay' or (occurrence_index is not null) = (action in ('skip', 'delay', 'approve', 'reject', 'order_now'))
    ),
    constraint action_links_name_an_order_for_what_pays_one check ((order_id is not null) = (action = 'pay')),
    constraint action_links_count_days_for_what_takes_them check ((days is not null) = (action in ('delay', 'pause'))),
    constraint action_links_say_what_is_swapped_for_what check (
        (action = 'swap') = (sku_code is not null) and (sku_code is null) = (swap_sku_code is null)
    ),
    constraint action_links_count_runs_from_one check (occurrence_index >= 1),
    constraint action_links_last_from_a_day_to_a_year check (days between 1 and 365),
    constraint action_links_are_used_or_revoked check (used_at is null or revoked_at is null),
    constraint action_links_of_the_portal_are_not_used_up check (used_at is null or action <> 'manage')
);

-- For a subscription's own.
create index action_links_by_order_subscription_id on action_links (store_id, order_subscription_id, id);
-- For the foreign key.
create index action_links_by_order_id on action_links (store_id, order_id, id) where order_id is not null;
