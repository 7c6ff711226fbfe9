-- What a store holds of a person: the rows that no single reference leads to. The others follow from the Schemas.

-- name: orders
-- The orders of a customer, and those of guests who named the customer's e-mail address or came by a link of such an
-- order.
with own as (
    select orders.id
    from orders
    where
        orders.store_id = :store
        and (orders.customer_id = :customer or (orders.customer_id is null and orders.customer_email = :email))
)

select own.id from own
union
select orders.id
from orders
inner join repeat_links
    on orders.store_id = repeat_links.store_id and orders.repeat_link_id = repeat_links.id
inner join own
    on repeat_links.order_id = own.id
where orders.store_id = :store and orders.customer_id is null;

-- name: carts
-- The carts of a customer, those of guests who named the customer's e-mail address, and those that links of these orders
-- made.
select carts.id
from carts
left join repeat_links
    on carts.store_id = repeat_links.store_id and carts.repeat_link_id = repeat_links.id
where
    carts.store_id = :store
    and (
        carts.customer_id = :customer
        or (carts.customer_id is null and carts.customer_email = :email)
        or repeat_links.order_id = any(:orders::text[])
    );

-- name: addresses
-- The addresses in a customer's book, those that guests made for these carts, and those that these carts, orders and
-- subscriptions keep.
select addresses.id
from addresses
where
    addresses.store_id = :store
    and (
        addresses.customer_id = :customer
        or addresses.cart_id = any(:carts::text[])
        or addresses.id in (
            select unnest(array[orders.billing_address_id, orders.shipping_address_id])
            from orders
            where orders.store_id = :store and orders.id = any(:orders::text[])
        )
        or addresses.id in (
            select unnest(array[carts.billing_address_id, carts.shipping_address_id])
            from carts
            where carts.store_id = :store and carts.id = any(:carts::text[])
        )
        or addresses.id in (
            select unnest(array[order_subscriptions.billing_address_id, order_subscriptions.shipping_address_id])
            from order_subscriptions
            where
                order_subscriptions.store_id = :store
                and order_subscriptions.id = any(:order_subscriptions::text[])
        )
    );

-- name: events
-- The events of resources, given by type and id.
select events.id
from events
inner join unnest(:types::text[], :ids::text[]) as given (resource_type, resource_id)
    on events.resource_type = given.resource_type and events.resource_id = given.resource_id
where events.store_id = :store;

-- name: deliveries
-- What webhooks were sent of these events, or of anything that names one of these people.
select event_callbacks.id
from event_callbacks
where event_callbacks.store_id = :store and event_callbacks.event_id = any(:events::text[])
union
select event_callbacks.id
from event_callbacks
where event_callbacks.store_id = :store and event_callbacks.people && :people::text[];

-- name: receivers
-- The webhooks that were sent these deliveries and say why they aren't healthy, which may repeat what they were sent.
select webhooks.id
from webhooks
where
    webhooks.store_id = :store
    and webhooks.health_reason is not null
    and webhooks.id in (
        select event_callbacks.webhook_id
        from event_callbacks
        where event_callbacks.store_id = :store and event_callbacks.id = any(:deliveries::text[])
    );

-- name: imports
-- The imports whose log says one of these words.
select imports.id
from imports
where
    imports.store_id = :store
    and exists(
        select 1
        from unnest(:words::text[]) as word
        where position(word in imports.errors_log::text) > 0
    );

-- name: exports
-- The exports whose filters say one of these words.
select exports.id
from exports
where
    exports.store_id = :store
    and exports.filters is not null
    and exists(
        select 1
        from unnest(:words::text[]) as word
        where position(word in exports.filters::text) > 0
    );
