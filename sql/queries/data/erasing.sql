-- Erasing a person: what only they could use is ended. What names them follows from the marks of the columns
-- (service/store/people.py).

-- name: busy
-- Whether a gateway is being asked for money of these orders, or an import waits that names the customer, or is sealed, so
-- that it may.
select
    exists(
        select 1
        from payment_attempts
        where
            payment_attempts.store_id = :store
            and payment_attempts.order_id = any(:orders::text[])
            and payment_attempts.lease_expires_at is not null
    ) as paying,
    exists(
        select 1
        from imports
        where
            imports.store_id = :store
            and imports.inputs is not null
            and (
                jsonb_typeof(imports.inputs) = 'object'
                or position(:customer in imports.inputs::text) > 0
                or position(:email in imports.inputs::text) > 0
            )
    ) as importing;

-- name: carts
-- Sets aside those of these carts that are open.
update carts
set
    status = 'abandoned',
    updated_at = :at,
    version = carts.version + 1
where carts.store_id = :store and carts.id = any(:carts::text[]) and carts.status = 'active';

-- name: payments
-- Has none of these orders' payments asked for anew.
update payment_attempts
set retry_at = null
where
    payment_attempts.store_id = :store
    and payment_attempts.order_id = any(:orders::text[])
    and payment_attempts.retry_at is not null;

-- name: links
-- Revokes those of these links that are live; their ids.
update repeat_links
set
    revoked_at = :at,
    revoked_reason = 'customer erased',
    updated_at = :at,
    version = repeat_links.version + 1
where
    repeat_links.store_id = :store and repeat_links.id = any(:links::text[]) and repeat_links.revoked_at is null
returning repeat_links.id;

-- name: subscriptions
-- Cancels those of these subscriptions that still could run; their ids.
update order_subscriptions
set
    status = 'cancelled',
    cancelled_at = :at,
    next_run_at = null,
    updated_at = :at,
    version = order_subscriptions.version + 1
where
    order_subscriptions.store_id = :store and order_subscriptions.id = any(:subscriptions::text[])
    and order_subscriptions.status <> 'cancelled'
returning order_subscriptions.id;

-- name: tokens
-- Revokes a customer's tokens. :at is real time, as it is when tokens are looked up.
update access_tokens
set
    revoked_at = :at,
    updated_at = :at,
    version = access_tokens.version + 1
where access_tokens.store_id = :store and access_tokens.customer_id = :customer and access_tokens.revoked_at is null;

-- name: answers
-- Forgets what was answered under an idempotency key to these principals, or with the e-mail address :email or one of
-- these ids in it.
delete from idempotency_keys
where
    idempotency_keys.store_id = :store
    and (
        idempotency_keys.principal = any(:principals::text[])
        or position(convert_to(:email, 'UTF8') in idempotency_keys.body) > 0
        or exists(
            select 1
            from regexp_matches(
                encode(idempotency_keys.body, 'escape'), '"id" ?: ?"([A-Za-z0-9_-]{1,64})"', 'g'
            ) as held (parts)
            where held.parts[1] = any(:ids::text[])
        )
    );
