-- Erasing a person: what names one is replaced, what only they could use is ended. Amounts, lines and countries stay,
-- which a shop has to keep.

-- name: addresses
-- Empties a customer's addresses: the book, the copies on orders, carts and subscriptions, and those on carts that
-- links of their orders made; their ids.
update addresses
set
    business = false,
    first_name = 'erased',
    last_name = 'erased',
    company = null,
    line_1 = 'erased',
    line_2 = null,
    city = 'erased',
    zip_code = null,
    phone = null,
    email = null,
    notes = null,
    lat = null,
    lng = null,
    billing_info = null,
    reference = null,
    reference_origin = null,
    metadata = '{}',
    updated_at = :at,
    version = addresses.version + 1
where
    addresses.store_id = :store
    and (
        addresses.customer_id = :customer
        or addresses.id in (
            select unnest(array[orders.billing_address_id, orders.shipping_address_id])
            from orders
            where orders.store_id = :store and orders.customer_id = :customer
        )
        or addresses.id in (
            select unnest(array[carts.billing_address_id, carts.shipping_address_id])
            from carts
            left join repeat_links
                on carts.store_id = repeat_links.store_id and carts.repeat_link_id = repeat_links.id
            left join orders
                on repeat_links.store_id = orders.store_id and repeat_links.order_id = orders.id
            where carts.store_id = :store and (carts.customer_id = :customer or orders.customer_id = :customer)
        )
        or addresses.id in (
            select unnest(array[order_subscriptions.billing_address_id, order_subscriptions.shipping_address_id])
            from order_subscriptions
            where order_subscriptions.store_id = :store and order_subscriptions.customer_id = :customer
        )
    )
returning addresses.id;

-- name: orders
-- Replaces the e-mail address on a customer's orders by :nobody.
update orders
set
    customer_email = :nobody,
    updated_at = :at,
    version = orders.version + 1
where orders.store_id = :store and orders.customer_id = :customer and orders.customer_email is not null;

-- name: carts
-- Replaces the e-mail address on a customer's carts by :nobody, and sets aside those that are open, also of links of
-- their orders.
update carts
set
    customer_email = case when carts.customer_email is null then null else :nobody end,
    status = case carts.status when 'active' then 'abandoned' else carts.status end,
    updated_at = :at,
    version = carts.version + 1
where
    carts.store_id = :store
    and (
        carts.customer_id = :customer
        or carts.repeat_link_id in (
            select repeat_links.id
            from repeat_links
            inner join orders
                on repeat_links.store_id = orders.store_id and repeat_links.order_id = orders.id
            where repeat_links.store_id = :store and orders.customer_id = :customer
        )
    );

-- name: payment_sources
-- Empties a customer's wallet: what is left of a source can't be charged.
update customer_payment_sources
set
    name = null,
    customer_token = null,
    payment_source_token = null,
    expires_at = least(customer_payment_sources.expires_at, :at),
    metadata = '{}',
    reference = null,
    reference_origin = null,
    updated_at = :at,
    version = customer_payment_sources.version + 1
where customer_payment_sources.store_id = :store and customer_payment_sources.customer_id = :customer;

-- name: payments
-- Takes what was paid with, and what gateways said of it, out of a customer's payments that are over; none is asked for
-- anew.
update payment_attempts
set
    source_token = null,
    detail = null,
    retry_at = null
from orders
where
    payment_attempts.store_id = :store and payment_attempts.order_id = orders.id
    and payment_attempts.lease_expires_at is null
    and orders.store_id = :store and orders.customer_id = :customer;

-- name: links
-- Revokes the links of a customer's orders; their ids.
update repeat_links
set
    revoked_at = :at,
    revoked_reason = 'customer erased',
    updated_at = :at,
    version = repeat_links.version + 1
from orders
where
    repeat_links.store_id = :store and orders.store_id = :store and repeat_links.order_id = orders.id
    and orders.customer_id = :customer and repeat_links.revoked_at is null
returning repeat_links.id;

-- name: subscriptions
-- Cancels a customer's subscriptions that still could run; their ids.
update order_subscriptions
set
    status = 'cancelled',
    cancelled_at = :at,
    next_run_at = null,
    customer_email = :nobody,
    updated_at = :at,
    version = order_subscriptions.version + 1
where
    order_subscriptions.store_id = :store and order_subscriptions.customer_id = :customer
    and order_subscriptions.status <> 'cancelled'
returning order_subscriptions.id;

-- name: past_subscriptions
-- Replaces the e-mail address on a customer's subscriptions that were cancelled before by :nobody.
update order_subscriptions
set
    customer_email = :nobody,
    updated_at = :at,
    version = order_subscriptions.version + 1
where
    order_subscriptions.store_id = :store and order_subscriptions.customer_id = :customer
    and order_subscriptions.customer_email <> :nobody;

-- name: tokens
-- Revokes a customer's tokens. :at is real time, as it is when tokens are looked up.
update access_tokens
set
    revoked_at = :at,
    updated_at = :at,
    version = access_tokens.version + 1
where access_tokens.store_id = :store and access_tokens.customer_id = :customer and access_tokens.revoked_at is null;

-- name: refresh_tokens
-- Deletes what tokens of a customer would be refreshed with.
delete from refresh_tokens
where refresh_tokens.store_id = :store and refresh_tokens.customer_id = :customer;

-- name: answers
-- Forgets what was answered under an idempotency key to a customer, or with their id or e-mail address :email in it.
delete from idempotency_keys
where
    idempotency_keys.store_id = :store
    and (
        idempotency_keys.principal = 'customers:' || :customer
        or position(convert_to(:customer, 'UTF8') in idempotency_keys.body) > 0
        or position(convert_to(:email, 'UTF8') in idempotency_keys.body) > 0
    );

-- name: callbacks
-- Forgets what webhooks were sent, and said, of a customer: what has their id or e-mail address :email in it, or tells of
-- one of these addresses. What waits to be sent is written anew.
update event_callbacks
set
    payload = null,
    response_message = null,
    updated_at = :at,
    version = event_callbacks.version + 1
from events
where
    event_callbacks.store_id = :store
    and events.store_id = :store
    and events.id = event_callbacks.event_id
    and (
        (events.resource_type = 'addresses' and events.resource_id = any(:addresses::text[]))
        or position(:customer in event_callbacks.payload::text) > 0
        or position(:email in event_callbacks.payload::text) > 0
    );
