-- Placing orders, and taking that back. Whoever does locks the order first.

-- name: facts
-- What placing looks at, of an order that is locked.
select
    orders.status,
    orders.payment_status,
    orders.cart_id,
    orders.customer_id,
    orders.customer_email,
    orders.currency_code,
    orders.coupon_code,
    orders.tax_included,
    orders.total_tax_amount_cents,
    orders.total_amount_cents,
    orders.expires_at,
    orders.fulfillment_status,
    orders.billing_address_id,
    orders.shipping_address_id,
    orders.shipping_method_id,
    orders.payment_method_id,
    orders.customer_payment_source_id,
    orders.order_subscription_id,
    customers.customer_group_id,
    stores.gateway_url is not null and stores.gateway_secret is not null as has_external_gateway,
    coalesce(billing.snapshot, true) and coalesce(shipping.snapshot, true) as has_snapshots,
    coalesce(shipping_methods.disabled_at > $3, true) as shipping_method_available,
    coalesce(payment_methods.disabled_at > $3, true) as payment_method_available,
    payment_methods.gateway,
    customer_payment_sources.payment_source_token,
    customer_payment_sources.expires_at as payment_source_expires_at
from orders
inner join stores
    on orders.store_id = stores.store_id
left join customers
    on orders.store_id = customers.store_id and orders.customer_id = customers.id
left join addresses as billing
    on orders.store_id = billing.store_id and orders.billing_address_id = billing.id
left join addresses as shipping
    on orders.store_id = shipping.store_id and orders.shipping_address_id = shipping.id
left join shipping_methods
    on orders.store_id = shipping_methods.store_id and orders.shipping_method_id = shipping_methods.id
left join payment_methods
    on orders.store_id = payment_methods.store_id and orders.payment_method_id = payment_methods.id
left join customer_payment_sources
    on
        orders.store_id = customer_payment_sources.store_id
        and orders.customer_payment_source_id = customer_payment_sources.id
where orders.store_id = $1 and orders.id = $2;

-- name: lines
-- The lines of skus of an order, in their order.
select
    line_items.id,
    line_items.item_type,
    line_items.sku_id,
    line_items.sku_code,
    line_items.name,
    line_items.options,
    line_items.quantity,
    line_items.currency_code,
    line_items.unit_amount_cents
from line_items
where line_items.store_id = $1 and line_items.order_id = $2 and line_items.item_type = 'skus'
order by line_items.position, line_items.id;

-- name: lock
-- Locks an order; its status.
select orders.status
from orders
where orders.store_id = $1 and orders.id = $2
for no key update;

-- name: save
-- Sets what placing and cancelling change of an order, at $7; addresses $5 and $6 become its snapshots. $8 and $9 are
-- when it was placed and cancelled, if that is now.
update orders
set
    status = $3,
    payment_status = $4,
    billing_address_id = $5,
    shipping_address_id = $6,
    placed_at = coalesce($8, orders.placed_at),
    cancelled_at = coalesce($9, orders.cancelled_at),
    payment_updated_at = case when orders.payment_status = $4 then orders.payment_updated_at else $7 end,
    updated_at = $7,
    version = orders.version + 1
where orders.store_id = $1 and orders.id = $2;

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

-- name: give_stock_back
-- Puts what was taken for an order back into the stock, all skus in one order so that two orders never wait for each
-- other in a circle.
with taken as (
    select
        line_items.sku_id,
        sum(line_items.quantity)::bigint as quantity
    from line_items
    where line_items.store_id = $1 and line_items.order_id = $2 and line_items.item_type = 'skus'
    group by line_items.sku_id
),

held as (
    select
        stock_items.id,
        taken.quantity
    from stock_items
    inner join taken
        on stock_items.sku_id = taken.sku_id
    inner join skus
        on stock_items.store_id = skus.store_id and stock_items.sku_id = skus.id
    where stock_items.store_id = $1 and not skus.do_not_track
    order by stock_items.sku_id
    for no key update of stock_items
)

update stock_items
set
    quantity = stock_items.quantity + held.quantity,
    updated_at = $3,
    version = stock_items.version + 1
from held
where stock_items.store_id = $1 and stock_items.id = held.id;

-- name: reprice
-- Gives lines their prices of today: $3 is a JSON array of what they come to.
update line_items
set
    unit_amount_cents = given.unit_amount_cents,
    compare_at_amount_cents = given.compare_at_amount_cents,
    discount_cents = given.discount_cents,
    total_amount_cents = given.total_amount_cents + line_items.options_amount_cents,
    tax_rate = given.tax_rate,
    tax_amount_cents = given.tax_amount_cents,
    updated_at = $4,
    version = line_items.version + 1
from
    jsonb_to_recordset($3::jsonb) as given (
        id text, unit_amount_cents bigint, compare_at_amount_cents bigint, discount_cents bigint,
        total_amount_cents bigint, tax_rate numeric, tax_amount_cents bigint
    )
where line_items.store_id = $1 and line_items.order_id = $2 and line_items.id = given.id;

-- name: discount
-- Sets what promotions and the coupon ($4) take off an order, and whether its prices include taxes, as its store has it.
update orders
set
    discount_amount_cents = $3,
    coupon_code = $4,
    tax_included = stores.prices_include_tax
from stores
where orders.store_id = $1 and orders.id = $2 and stores.store_id = $1;

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
