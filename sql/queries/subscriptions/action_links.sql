-- Action links: what opens their pages, and what submitting one uses up.

-- name: lock
-- Holds a link as it is until the transaction ends.
select from action_links
where action_links.store_id = :store and action_links.id = :link
for no key update;

-- name: opened
-- A link with the subscription that it is for, whose customer is known, how the order is that it pays, and its store.
select
    action_links.id,
    action_links.action,
    action_links.occurrence_index,
    action_links.order_id,
    action_links.days,
    action_links.sku_code,
    action_links.swap_sku_code,
    action_links.expires_at,
    action_links.used_at,
    action_links.revoked_at,
    action_links.order_subscription_id,
    order_subscriptions.status,
    unpaid.status as order_status,
    order_subscriptions.timezone,
    order_subscriptions.paused_until,
    order_subscriptions.customer_id,
    addresses.first_name,
    addresses.last_name,
    addresses.company,
    addresses.zip_code,
    store_facts.*
from action_links
inner join store_facts
    on action_links.store_id = store_facts.id
inner join order_subscriptions
    on
        action_links.store_id = order_subscriptions.store_id
        and action_links.order_subscription_id = order_subscriptions.id
        and order_subscriptions.customer_id is not null
left join orders as unpaid
    on action_links.store_id = unpaid.store_id and action_links.order_id = unpaid.id
left join addresses
    on
        order_subscriptions.store_id = addresses.store_id
        and coalesce(order_subscriptions.shipping_address_id, order_subscriptions.billing_address_id) = addresses.id
where action_links.store_id = :store and action_links.id = :link;

-- name: held
-- The run of a subscription that is held because it would cost too much, and what it was held at.
select
    occurrences.id,
    occurrences.occurrence_index,
    occurrences.scheduled_at,
    occurrences.held_amount_cents,
    occurrences.currency_code
from occurrences
where
    occurrences.store_id = :store
    and occurrences.order_subscription_id = :subscription
    and occurrences.status = 'held'
order by occurrences.occurrence_index desc
limit 1;

-- name: owed
-- The runs of a subscription whose orders wait to be paid, the oldest first. Extra ones have no index.
select
    orders.id as order_id,
    occurrences.occurrence_index,
    coalesce(occurrences.scheduled_at, copies.created_at) as scheduled_at,
    orders.total_amount_cents,
    orders.total_tax_amount_cents,
    orders.tax_included,
    orders.currency_code
from orders
inner join order_factories as copies
    on orders.store_id = copies.store_id and orders.id = copies.target_order_id
left join occurrences
    on orders.store_id = occurrences.store_id and orders.occurrence_id = occurrences.id
where
    orders.store_id = :store
    and orders.order_subscription_id = :subscription
    and orders.status = 'pending'
    and copies.place_target_order
    and copies.failure_type is not null
order by scheduled_at, orders.id;

-- name: use
-- Notes that what a link is for was done.
update action_links
set
    used_at = :at,
    updated_at = :at,
    version = action_links.version + 1
where action_links.store_id = :store and action_links.id = :link and action_links.used_at is null;
