-- name: lock_source_order
-- The order that a subscription repeats, locked, so that each of several new ones sees those before it.
select orders.id
from orders
where orders.store_id = :store and orders.id = :source_order
for no key update;

-- name: equal
-- The oldest subscription, begun or to begin, whose items are as these lines of the order that it repeats, equally often.
with wanted as (
    select jsonb_build_array(line_items.sku_id, line_items.options, line_items.quantity) as item
    from line_items
    where line_items.store_id = :store and line_items.id = any(:lines::text[])
)

select
    order_subscriptions.id,
    order_subscriptions.number
from order_subscriptions
where
    order_subscriptions.store_id = :store
    and order_subscriptions.source_order_id = :source_order
    and order_subscriptions.frequency = :frequency
    and order_subscriptions.status in ('draft', 'active')
    and (
        select
            array_agg(
                jsonb_build_array(
                    order_subscription_items.sku_id, order_subscription_items.options, order_subscription_items.quantity
                )
                order by
                    jsonb_build_array(
                        order_subscription_items.sku_id,
                        order_subscription_items.options,
                        order_subscription_items.quantity
                    )
            )
        from order_subscription_items
        where
            order_subscription_items.store_id = :store
            and order_subscription_items.order_subscription_id = order_subscriptions.id
    ) is not distinct from (select array_agg(wanted.item order by wanted.item) from wanted)
order by order_subscriptions.number
limit 1;

-- name: order_extra_copy
-- A pending copy of a subscription's source order, outside of the schedule.
with source as (
    select
        orders.id,
        orders.customer_id
    from orders
    where
        orders.store_id = :store
        and orders.id in (
            select order_subscriptions.source_order_id
            from order_subscriptions
            where order_subscriptions.store_id = :store and order_subscriptions.id = :subscription
        )
    for key share of orders
),

made as (
    insert into order_factories (
        store_id, id, kind, source_order_id, order_subscription_id, place_target_order, created_at, updated_at
    )
    select
        order_subscriptions.store_id,
        :copy as id,
        'recurring_order_copies' as kind,
        order_subscriptions.source_order_id,
        order_subscriptions.id as order_subscription_id,
        order_subscriptions.place_target_order,
        :at as created_at,
        :at as updated_at
    from order_subscriptions
    where order_subscriptions.store_id = :store and order_subscriptions.id = :subscription
    returning order_factories.id
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store as store_id,
    'recurring_order_copies' as collection,
    1 as delta,
    array[source.customer_id] as customers
from made
cross join source;

-- name: abort
-- Ends what a cancelled subscription still has ahead: copies that nobody is at, whose occurrences with those that
-- were planned are skipped; an occurrence stays claimed when its worker gave its copy back. Gives the copies.
with left_out as (
    update occurrences
    set status = 'skipped', reason = 'cancelled', updated_at = :at, version = version + 1
    where
        store_id = :store
        and order_subscription_id = :subscription
        and (
            status in ('planned', 'due', 'held', 'claimed')
            and not exists(
                select 1 from order_factories
                where
                    order_factories.store_id = :store
                    and order_factories.occurrence_id = occurrences.id
                    -- By case, as claims in copies/copies.sql are: by keys, not through all live copies.
                    and case order_factories.status when 'in_progress' then true else false end
            )
        )
),

aborted as (
    update order_factories
    set status = 'aborted', updated_at = :at, version = version + 1
    where store_id = :store and order_subscription_id = :subscription and status = 'pending'
    returning id, occurrence_id
)

select id from aborted;

-- name: lines_to_repeat
-- The lines of an order that are to be ordered again, each with the oldest of the store's models that offers its
-- frequency, or with none.
select
    line_items.id,
    line_items.name,
    line_items.frequency,
    model.id as model_id,
    model.strategy,
    model.auto_activate,
    model.min_occurrences,
    model.pricing_phases,
    model.prepaid_occurrences
from line_items
left join lateral (
    select
        subscription_models.id,
        subscription_models.strategy,
        subscription_models.auto_activate,
        subscription_models.min_occurrences,
        subscription_models.pricing_phases,
        subscription_models.prepaid_occurrences
    from subscription_models
    where subscription_models.store_id = :store and line_items.frequency = any(subscription_models.frequencies)
    order by subscription_models.created_at, subscription_models.id
    limit 1
) as model
    on true
where
    line_items.store_id = :store and line_items.order_id = :order and line_items.item_type = 'skus'
    and line_items.sku_id is not null and line_items.frequency is not null
order by line_items.position, line_items.id;

-- name: waiting_for_order
-- Drafts that begin when their order is placed.
select
    order_subscriptions.id,
    order_subscriptions.starts_at
from order_subscriptions
where
    -- The order and the two comparisons leave Postgres one index, also while it takes the table to be empty.
    order_subscriptions.store_id = :store
    and order_subscriptions.source_order_id >= :source_order and order_subscriptions.source_order_id <= :source_order
    and order_subscriptions.status = 'draft' and order_subscriptions.activate_by_source_order
order by order_subscriptions.source_order_id, order_subscriptions.id;

-- name: ending_with_order
-- Subscriptions that end when their order is cancelled, by what their models say.
select order_subscriptions.id
from order_subscriptions
inner join subscription_models
    on
        order_subscriptions.store_id = subscription_models.store_id
        and order_subscriptions.subscription_model_id = subscription_models.id
where
    order_subscriptions.store_id = :store and order_subscriptions.source_order_id = :order
    and order_subscriptions.status <> 'cancelled' and subscription_models.auto_cancel
order by order_subscriptions.id;

-- name: is_offered
-- Whether a subscription model offers a frequency.
select exists(
    select 1 from subscription_models
    where
        subscription_models.store_id = :store
        and subscription_models.id = :model
        and subscription_models.frequencies @> array[:frequency::text]
);

-- name: prepaid_order
-- How the order stands that paid for deliveries of a subscription, in which currency, and whether its prices include taxes.
select
    orders.status,
    orders.currency_code,
    orders.tax_included
from orders
where orders.store_id = :store and orders.id = :order;

-- name: unpaid_policy
-- What becomes of a subscription whose run stays unpaid: as it says itself, its model, or its store's policies.
select coalesce(
    order_subscriptions.unpaid_policy,
    subscription_models.unpaid_policy,
    (
        select stores.policies ->> 'unpaid_policy'
        from stores
        where stores.store_id = :store
    )
) as unpaid_policy
from order_subscriptions
left join subscription_models
    on
        order_subscriptions.store_id = subscription_models.store_id
        and order_subscriptions.subscription_model_id = subscription_models.id
where order_subscriptions.store_id = :store and order_subscriptions.id = :subscription;
