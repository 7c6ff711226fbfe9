-- name: begin_attempts
-- Notes payments $2 of orders $3, of $4 each, before gateways are asked for them; $5 are what is paid with where that is
-- not the order's own source. Nobody but whoever notes them, if $7 is one, asks until $6. A payment's key is that of its
-- occurrence, else of its order, with the number of the attempt. Retries that were ahead are these.
with stopped as (
    update payment_attempts
    set retry_at = null
    where store_id = $1 and order_id = any($3::text[]) and retry_at is not null
),

begun as (
    insert into payment_attempts (
        store_id, id, order_id, customer_payment_source_id, key, gateway, gateway_url, source_token, currency_code,
        amount_cents, lease_expires_at, asked, created_at, updated_at
    )
    select
        $1 as store_id,
        given.id,
        orders.id as order_id,
        orders.customer_payment_source_id,
        concat_ws('/', $1::bigint, coalesce(orders.occurrence_id, orders.id), (
            select count(*) + 1
            from payment_attempts as earlier
            where earlier.store_id = $1 and earlier.order_id = orders.id
        )) as key,
        payment_methods.gateway,
        case when payment_methods.gateway = 'external' then stores.gateway_url end as gateway_url,
        coalesce(given.source_token, customer_payment_sources.payment_source_token) as source_token,
        orders.currency_code,
        given.amount_cents,
        $6 as lease_expires_at,
        $7 as asked,
        $8 as created_at,
        $8 as updated_at
    from unnest($2::text[], $3::text[], $4::bigint[], $5::text[]) as given (id, order_id, amount_cents, source_token)
    inner join orders
        on orders.store_id = $1 and given.order_id = orders.id
    inner join stores
        on orders.store_id = stores.store_id
    inner join payment_methods
        on orders.store_id = payment_methods.store_id and orders.payment_method_id = payment_methods.id
    left join customer_payment_sources
        on
            orders.store_id = customer_payment_sources.store_id
            and orders.customer_payment_source_id = customer_payment_sources.id
    returning *
)

select
    begun.*,
    stores.gateway_secret,
    orders.order_subscription_id is not null as recurring
from begun
inner join stores
    on begun.store_id = stores.store_id
inner join orders
    on begun.store_id = orders.store_id and begun.order_id = orders.id;

-- name: not_placed
-- Notes that an order couldn't be placed when its payment was to be asked for anew, as $4 tells: an attempt $3 for which
-- no gateway was asked, through that of the last one, as the order may have no payment method any more.
with stopped as (
    update payment_attempts
    set retry_at = null
    where store_id = $1 and order_id = $2 and retry_at is not null
),

earlier as (
    select
        payment_attempts.id,
        payment_attempts.gateway,
        payment_attempts.currency_code,
        payment_attempts.amount_cents,
        count(*) over () as number
    from payment_attempts
    where payment_attempts.store_id = $1 and payment_attempts.order_id = $2
    order by payment_attempts.id desc
    limit 1
)

insert into payment_attempts (
    store_id, id, order_id, customer_payment_source_id, key, gateway, status, currency_code, amount_cents, decline_code,
    detail, answered_at, created_at, updated_at
)
select
    $1 as store_id,
    $3 as id,
    orders.id as order_id,
    orders.customer_payment_source_id,
    concat_ws('/', $1::bigint, coalesce(orders.occurrence_id, orders.id), earlier.number + 1) as key,
    earlier.gateway,
    'failed' as status,
    earlier.currency_code,
    earlier.amount_cents,
    'not_placed' as decline_code,
    $4 as detail,
    $5 as answered_at,
    $5 as created_at,
    $5 as updated_at
from orders
cross join earlier
where orders.store_id = $1 and orders.id = $2;

-- name: claim_attempt
-- Goes on with an order's payment whose lease is over at $3, real time, until $4.
update payment_attempts
set
    lease_expires_at = $4,
    asked = payment_attempts.asked + 1,
    updated_at = $3
from stores, orders
where
    payment_attempts.store_id = $1 and payment_attempts.order_id = $2
    and payment_attempts.lease_expires_at <= $3
    and stores.store_id = $1
    and orders.store_id = $1 and orders.id = $2
returning
    payment_attempts.*,
    stores.gateway_secret,
    orders.order_subscription_id is not null as recurring;

-- name: begin_voiding
-- Notes that the gateway of an order's authorized payment is to let go of the money, until $4 by whoever notes it.
update payment_attempts
set
    status = 'voiding',
    lease_expires_at = $4,
    updated_at = $3
from stores, orders
where
    payment_attempts.store_id = $1 and payment_attempts.order_id = $2
    and payment_attempts.status in ('authorized', 'paid')
    and stores.store_id = $1
    and orders.store_id = $1 and orders.id = $2
returning
    payment_attempts.*,
    stores.gateway_secret,
    orders.order_subscription_id is not null as recurring;

-- name: end_attempt
-- Notes what the gateway said of a payment that is $3 still; no row when somebody else has.
update payment_attempts
set
    status = $4,
    gateway_reference = coalesce($5, payment_attempts.gateway_reference),
    decline_code = $6,
    detail = $7,
    answered_at = $8,
    lease_expires_at = null,
    updated_at = $8
where payment_attempts.store_id = $1 and payment_attempts.id = $2 and payment_attempts.status = $3
returning payment_attempts.order_id;

-- name: open_payments
-- The orders of a store whose gateways haven't said yet whether they are paid, and until when somebody is at that.
select
    order_id,
    lease_expires_at
from payment_attempts
where store_id = $1 and lease_expires_at is not null and status = 'pending'
order by lease_expires_at, id;

-- name: abandoned
-- Of all stores: orders with a payment that nobody is at any more at $1, real time, those that have waited longest
-- first; at most $2. A global read.
select
    payment_attempts.store_id,
    payment_attempts.order_id
from payment_attempts
where payment_attempts.lease_expires_at <= $1
order by payment_attempts.lease_expires_at, payment_attempts.id
limit $2;
