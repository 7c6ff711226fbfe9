-- Payments of orders. What is held of one is told by the same columns wherever it is begun, or gone on with.

-- name: stop_retries
-- Asks no more, by itself, for the payments of orders :orders.
update payment_attempts
set retry_at = null
where store_id = :store and order_id = any(array(select unnest(:orders::text[]))) and retry_at is not null;

-- name: note_attempts
-- Notes payments :attempts of orders :orders, of :amounts each, before gateways are asked for them; :tokens are what is
-- paid with where that is not the order's own source, sealed, :digests what they may be found by, spaces between them.
-- Nobody but whoever notes them, if :asked is one, asks until :lease_expires_at. A payment's key is that of its
-- occurrence, else of its order, with the number of the attempt. A token that is in the customer's wallet is that
-- source. :to_wallet and :to_subscription say where what was paid with is to be kept, :retried_at when the service asks for
-- each anew by itself. The orders are looked up by their
-- ids first: Postgres would look for them by their ways to pay.
with given as (
    select *
    from unnest(
        (select :attempts::text[]),
        (select :orders::text[]),
        (select :amounts::bigint[]),
        (select :tokens::text[]),
        (select :digests::text[]),
        (select :to_wallet::boolean[]),
        (select :to_subscription::boolean[]),
        (select :retried_at::timestamptz[])
    ) as given (id, order_id, amount_cents, source_token, digests, to_wallet, to_subscription, retried_at)
),

unpaid as materialized (
    select
        orders.id,
        orders.occurrence_id,
        orders.customer_id,
        orders.payment_method_id,
        orders.customer_payment_source_id,
        orders.currency_code
    from orders
    where orders.store_id = :store and orders.id = any(array(select unnest(:orders::text[])))
)

insert into payment_attempts (
    store_id, id, order_id, customer_payment_source_id, key, gateway, gateway_url, source_token, currency_code,
    amount_cents, saved_to_wallet, saved_to_subscription, retried_at, lease_expires_at, asked, created_at, updated_at
)
select
    :store as store_id,
    given.id,
    unpaid.id as order_id,
    case when given.source_token is null then unpaid.customer_payment_source_id else (
        select kept.id
        from customer_payment_sources as kept
        where
            kept.store_id = :store
            and kept.customer_id = unpaid.customer_id
            and kept.payment_source_digest = any(string_to_array(given.digests, ' '))
        order by kept.id = unpaid.customer_payment_source_id desc nulls last
        limit 1
    ) end as customer_payment_source_id,
    concat_ws('/', :store::bigint, coalesce(unpaid.occurrence_id, unpaid.id), (
        select count(*) + 1
        from payment_attempts as earlier
        where earlier.store_id = :store and earlier.order_id = unpaid.id
    )) as key,
    payment_methods.gateway,
    case when payment_methods.gateway = 'external' then stores.gateway_url end as gateway_url,
    coalesce(given.source_token, customer_payment_sources.payment_source_token) as source_token,
    unpaid.currency_code,
    given.amount_cents,
    given.to_wallet as saved_to_wallet,
    given.to_subscription as saved_to_subscription,
    given.retried_at,
    :lease_expires_at as lease_expires_at,
    :asked as asked,
    :asked_at as created_at,
    :asked_at as updated_at
from given
inner join unpaid
    on given.order_id = unpaid.id
inner join stores
    on stores.store_id = :store
inner join payment_methods
    on payment_methods.store_id = :store and unpaid.payment_method_id = payment_methods.id
left join customer_payment_sources
    on customer_payment_sources.store_id = :store and unpaid.customer_payment_source_id = customer_payment_sources.id
returning
    id,
    order_id,
    status,
    gateway,
    gateway_url,
    key,
    currency_code,
    amount_cents,
    source_token,
    customer_payment_source_id,
    saved_to_wallet or saved_to_subscription as saves_source,
    asked;

-- name: around
-- What is held of a payment besides its attempt, of order :paid from source :source. What inserts an attempt can't give it:
-- where rows lie on several nodes, it is written on one that knows no other tables by their names.
select
    (
        select stores.gateway_secret
        from stores
        where stores.store_id = :store
    ) as gateway_secret,
    orders.customer_id,
    (
        select customer_payment_sources.customer_token
        from customer_payment_sources
        where customer_payment_sources.store_id = :store and customer_payment_sources.id = :source
    ) as customer_token,
    orders.order_subscription_id is not null as recurring
from orders
where orders.store_id = :store and orders.id = :paid;

-- name: begin_attempts
-- Notes payments, as `note_attempts` does. Retries of the orders' payments that were ahead are these.
with stopped as (
    select include('payments/attempts.stop_retries')
),

begun as (
    select include('payments/attempts.note_attempts')
)

select
    begun.*,
    around.*
from begun
cross join lateral ( -- noqa: ST05
    select include('payments/attempts.around', paid => begun.order_id, source => begun.customer_payment_source_id)
) as around;

-- name: note_unasked
-- Notes that an order couldn't be placed when its payment was to be asked for, as :detail tells: an attempt :id for which
-- no gateway was asked, through that of the last one, as the order may have no payment method any more. Before there was
-- one, it is through that of the order, of :amount. It is asked for anew at :retry_at.
with earlier as (
    select
        payment_attempts.id,
        payment_attempts.gateway,
        payment_attempts.amount_cents,
        count(*) over () as number
    from payment_attempts
    where payment_attempts.store_id = :store and payment_attempts.order_id = :order
    order by payment_attempts.id desc
    limit 1
)

insert into payment_attempts (
    store_id, id, order_id, customer_payment_source_id, key, gateway, status, currency_code, amount_cents, decline_code,
    detail, answered_at, retry_at, created_at, updated_at
)
select
    :store as store_id,
    :id as id,
    orders.id as order_id,
    orders.customer_payment_source_id,
    concat_ws('/', :store::bigint, coalesce(orders.occurrence_id, orders.id), coalesce(earlier.number, 0) + 1) as key,
    coalesce(earlier.gateway, payment_methods.gateway) as gateway,
    'failed' as status,
    orders.currency_code,
    coalesce(earlier.amount_cents, :amount) as amount_cents,
    'not_placed' as decline_code,
    :detail as detail,
    :noted_at as answered_at,
    :retry_at as retry_at,
    :noted_at as created_at,
    :noted_at as updated_at
from orders
left join payment_methods
    on orders.store_id = payment_methods.store_id and orders.payment_method_id = payment_methods.id
left join earlier
    on true
where orders.store_id = :store and orders.id = :order;

-- name: claim_attempt
-- Goes on with an order's payment whose lease is over at :at, real time, until :lease_expires_at.
update payment_attempts
set
    lease_expires_at = :lease_expires_at,
    asked = payment_attempts.asked + 1,
    updated_at = :at
from stores, orders
where
    payment_attempts.store_id = :store and payment_attempts.order_id = :order
    and payment_attempts.lease_expires_at <= :at
    and stores.store_id = :store
    and orders.store_id = :store and orders.id = :order
returning
    payment_attempts.id,
    payment_attempts.order_id,
    payment_attempts.status,
    payment_attempts.gateway,
    payment_attempts.gateway_url,
    payment_attempts.key,
    payment_attempts.currency_code,
    payment_attempts.amount_cents,
    payment_attempts.source_token,
    payment_attempts.customer_payment_source_id,
    payment_attempts.saved_to_wallet or payment_attempts.saved_to_subscription as saves_source,
    payment_attempts.asked,
    stores.gateway_secret,
    orders.customer_id,
    (
        select customer_payment_sources.customer_token
        from customer_payment_sources
        where
            customer_payment_sources.store_id = :store
            and customer_payment_sources.id = payment_attempts.customer_payment_source_id
    ) as customer_token,
    orders.order_subscription_id is not null as recurring;

-- name: begin_voiding
-- Notes that the gateway of an order's authorized payment is to let go of the money, until :lease_expires_at by whoever
-- notes it.
update payment_attempts
set
    status = 'voiding',
    lease_expires_at = :lease_expires_at,
    updated_at = :at
from stores, orders
where
    payment_attempts.store_id = :store and payment_attempts.order_id = :order
    and payment_attempts.status in ('authorized', 'paid')
    and stores.store_id = :store
    and orders.store_id = :store and orders.id = :order
returning
    payment_attempts.id,
    payment_attempts.order_id,
    payment_attempts.status,
    payment_attempts.gateway,
    payment_attempts.gateway_url,
    payment_attempts.key,
    payment_attempts.currency_code,
    payment_attempts.amount_cents,
    payment_attempts.source_token,
    payment_attempts.customer_payment_source_id,
    payment_attempts.saved_to_wallet or payment_attempts.saved_to_subscription as saves_source,
    payment_attempts.asked,
    stores.gateway_secret,
    orders.customer_id,
    (
        select customer_payment_sources.customer_token
        from customer_payment_sources
        where
            customer_payment_sources.store_id = :store
            and customer_payment_sources.id = payment_attempts.customer_payment_source_id
    ) as customer_token,
    orders.order_subscription_id is not null as recurring;

-- name: end_attempt
-- Notes what the gateway said of a payment that is :was still; no row when somebody else has. :source_token is what it
-- calls what was paid with from now on. A refused one may be asked for anew at :retry_at.
update payment_attempts
set
    status = :status,
    gateway_reference = coalesce(:reference, payment_attempts.gateway_reference),
    source_token = coalesce(:source_token, payment_attempts.source_token),
    decline_code = :decline_code,
    detail = :detail,
    answered_at = :at,
    lease_expires_at = null,
    retry_at = :retry_at,
    updated_at = :at
where payment_attempts.store_id = :store and payment_attempts.id = :id and payment_attempts.status = :was
returning payment_attempts.order_id;

-- name: open_payments
-- The orders of a store whose gateways haven't said yet whether they are paid, and until when somebody is at that.
select
    order_id,
    lease_expires_at
from payment_attempts
where store_id = :store and lease_expires_at is not null and status = 'pending'
order by lease_expires_at, id;

-- name: abandoned
-- Of all stores: orders with a payment that nobody is at any more at :at, real time, those that have waited longest
-- first; at most :most. A global read.
select
    payment_attempts.store_id,
    payment_attempts.order_id
from payment_attempts
where payment_attempts.lease_expires_at <= :at
order by payment_attempts.lease_expires_at, payment_attempts.id
limit :most;
