-- Placing orders, and taking that back. Whoever does locks the order first.

-- name: lock
-- Locks an order; its status.
select orders.status
from orders
where orders.store_id = :store and orders.id = :order
for no key update;

-- name: hold
-- Locks an order; what of it a payment :attempt depends on, whether subscriptions wait for it to be placed, of which run it is,
-- if of one, and what it is paid with, which the gateway calls :token by now.
with held as (
    select
        orders.id,
        orders.status,
        orders.payment_status,
        (
            select count(*) > 0
            from (select include('subscriptions/subscriptions.waiting_for_order', source_order => orders.id)) as waiting
        ) as awaited
    from orders
    where orders.store_id = :store and orders.id = :order
    for no key update of orders
),

run as (
    select include('payments/dunning.run', unpaid => (select held.id from held))
),

paid_with as (
    select include('orders/saving.paid_with', paid => :order)
)

select
    held.*,
    run.*,
    paid_with.*
from held
left join run
    on true
left join paid_with
    on true;

-- name: price
-- Gives lines :lines (a JSON array) what they come to, and their order its amounts and what follows from them.
with priced as (
    update line_items
    set
        unit_amount_cents = given.unit_amount_cents,
        compare_at_amount_cents = given.compare_at_amount_cents,
        discount_cents = given.discount_cents,
        total_amount_cents = given.total_amount_cents,
        tax_rate = given.tax_rate,
        tax_amount_cents = given.tax_amount_cents,
        updated_at = :at,
        version = line_items.version + 1
    from
        jsonb_to_recordset(:lines::jsonb) as given (
            id text, unit_amount_cents bigint, compare_at_amount_cents bigint, discount_cents bigint,
            total_amount_cents bigint, tax_rate numeric, tax_amount_cents bigint
        )
    where line_items.store_id = :store and line_items.order_id = :order and line_items.id = given.id
)

update orders
set
    status = :status,
    fulfillment_status = :fulfillment_status,
    coupon_code = :coupon,
    coupon_counted = :coupon_counted,
    tax_included = :tax_included,
    subtotal_amount_cents = :subtotal,
    shipping_amount_cents = :shipping,
    payment_method_amount_cents = :payment_method,
    discount_amount_cents = :discount,
    adjustment_amount_cents = :adjustment,
    subtotal_tax_amount_cents = :subtotal_tax,
    total_tax_amount_cents = :tax,
    total_amount_cents = :total,
    refreshed_at = :at,
    updated_at = :at,
    version = orders.version + 1
where orders.store_id = :store and orders.id = :order;

-- name: save
-- Sets what placing and cancelling change of order :saved. Null is for what stays: the addresses, unless these are its snapshots
-- now, what in the wallet it is paid from, whether its coupon counts it, and the instants :placed_at and :cancelled_at.
update orders
set
    status = :status,
    payment_status = :payment_status,
    billing_address_id = coalesce(:billing_address, orders.billing_address_id),
    shipping_address_id = coalesce(:shipping_address, orders.shipping_address_id),
    customer_payment_source_id = coalesce(:paid_from, orders.customer_payment_source_id),
    coupon_counted = coalesce(:coupon_counted, orders.coupon_counted),
    placed_at = coalesce(:placed_at, orders.placed_at),
    cancelled_at = coalesce(:cancelled_at, orders.cancelled_at),
    payment_updated_at = case when orders.payment_status = :payment_status then orders.payment_updated_at else :at end,
    updated_at = :at,
    version = orders.version + 1
where orders.store_id = :store and orders.id = :saved;

-- name: note_coupon
-- Notes whether the coupon of an order counts the order among its uses.
update orders
set coupon_counted = :counted
where orders.store_id = :store and orders.id = :order;

-- name: note_stock
-- Notes that the pieces of skus :skus were taken out of the stock for the lines of an order.
update line_items
set stock_taken = line_items.quantity
where line_items.store_id = :store and line_items.order_id = :order and line_items.sku_id = any(:skus::text[]);

-- name: place
-- All that is written when an order is placed, or is on its way to that: it gets snapshots of its addresses, its coupon
-- (:coupon, null where that is counted) counts it, what is due (:attempts) is noted before its gateway is asked, and its
-- stock is taken last. Gives what the caller looks at before it commits: whether the coupon had a use left, of which
-- skus there was too little, which events were written; and the payment.
with copied as (
    select include('parties/addresses.write_copies', ids => :copies)
),

counted as (
    select include('catalogue/pricing.use_coupon')
),

stopped as (
    select include('payments/attempts.stop_retries', orders => array[:order])
),

begun as (
    select include('payments/attempts.note_attempts', orders => array_fill(:order::text, array[cardinality(:attempts::text[])]))
),

saved as (
    select
        include(
            'ordering/placing.save',
            saved => :order,
            paid_from => null::text,
            cancelled_at => null::timestamptz
        )
),

recorded as (
    select include('events/events.write')
),

taken as (
    select include('catalogue/stock.take')
),

noted as (
    select include('ordering/placing.note_stock', skus => array(select taken.sku_id from taken))
),

told as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'events', delta => select count(*) from recorded)
    union all
    select
        :store as store_id,
        'addresses' as collection,
        count(*) as delta,
        array_agg(copied.customer_id) as customers
    from copied
    having count(*) > 0
),

done as (
    select
        exists(select from counted) as counted,
        array(
            select include('catalogue/stock.tracked')
            except
            select taken.sku_id
            from taken
        ) as short,
        array(select recorded.id from recorded) as recorded
)

select
    done.*,
    begun.*,
    around.*
from done
left join begun
    on true
left join lateral ( -- noqa: ST05
    select include('payments/attempts.around', paid => begun.order_id, source => begun.customer_payment_source_id)
) as around
    on true;

-- name: settle
-- All that is written when a payment that is :was still was made or let go: the answer, what its order becomes, what goes into
-- the wallet, what it means for the subscription of its run, and events. Nothing is when somebody else has written an answer.
-- Gives the payment, and the events that were written.
with ended as (
    select include('payments/attempts.end_attempt', status => :answer, at => :answered_at, retry_at => null::timestamptz)
),

saved as (
    select
        include(
            'ordering/placing.save',
            saved => (select ended.order_id from ended),
            status => :order_status,
            billing_address => null::text,
            shipping_address => null::text,
            coupon_counted => null::boolean,
            cancelled_at => null::timestamptz
        )
),

wallet as (
    select include('parties/wallets.put', kept => (select :kept::text from ended))
),

renewed as (
    select include('payments/dunning.paid', subscription => (select :subscription::text from ended))
),

recorded as (
    select include('events/events.write', events => (select :events::jsonb from ended))
),

told as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'events', delta => select count(*) from recorded)
    union all
    select
        :store as store_id,
        'customer_payment_sources' as collection,
        1 as delta,
        array[wallet.customer_id] as customers
    from wallet
)

select
    ended.order_id,
    array(select recorded.id from recorded) as recorded
from ended;

-- name: forget_stock
-- The lines of order :released hold nothing of the stock any more.
update line_items
set stock_taken = 0
where line_items.store_id = :store and line_items.order_id = :released and line_items.stock_taken > 0;

-- name: return_stock
-- Puts what was taken for order :released back into the stock, all skus in one order so that two orders never wait for each
-- other in a circle.
update stock_items
set
    quantity = stock_items.quantity + found.quantity,
    updated_at = :at,
    version = stock_items.version + 1
from (
    select
        stock_items.id,
        (
            select sum(line_items.stock_taken)::bigint
            from line_items
            where
                line_items.store_id = :store
                and line_items.order_id = :released
                and line_items.sku_id = stock_items.sku_id
        ) as quantity
    from stock_items
    where
        stock_items.store_id = :store
        and stock_items.sku_id = any(
            array(
                select line_items.sku_id
                from line_items
                where line_items.store_id = :store and line_items.order_id = :released and line_items.stock_taken > 0
            )
        )
    order by stock_items.sku_id
    for no key update of stock_items
) as found
where stock_items.store_id = :store and stock_items.id = found.id;

-- name: give_stock_back
-- Puts what was taken for order :released back into the stock, once.
with returned as (
    select include('ordering/placing.return_stock')
)

select include('ordering/placing.forget_stock');

-- name: refuse
-- All that is written when a gateway has refused a payment that is :was still: the answer, the order that waits again, what it
-- means for the run of copy :copy (null for none), and events; the stock goes back last. Nothing is when somebody else has
-- written an answer. Gives the payment, and the events that were written.
with ended as (
    select include('payments/attempts.end_attempt', status => :answer, at => :answered_at)
),

saved as (
    select
        include(
            'ordering/placing.save',
            saved => (select ended.order_id from ended),
            status => :order_status,
            billing_address => null::text,
            shipping_address => null::text,
            paid_from => null::text,
            coupon_counted => null::boolean,
            placed_at => null::timestamptz,
            cancelled_at => null::timestamptz
        )
),

noted as (
    select include('payments/dunning.note_refusal', copy => (select :copy::text from ended))
),

occurred as (
    select include('payments/dunning.note_occurrence', occurrence => (select :occurrence::text from ended))
),

counted as (
    select include('payments/dunning.count_refusal', copy => (select :copy::text from ended))
),

recorded as (
    select include('events/events.write', events => (select :events::jsonb from ended))
),

told as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'events', delta => select count(*) from recorded)
),

returned as (
    select include('ordering/placing.return_stock', released => (select ended.order_id from ended))
),

forgotten as (
    select include('ordering/placing.forget_stock', released => (select ended.order_id from ended))
)

select
    ended.order_id,
    array(select recorded.id from recorded) as recorded
from ended;

-- name: give_link_back
-- Takes the order that was never placed from the uses of a repeat link.
update repeat_links
set
    uses = repeat_links.uses - 1,
    updated_at = :at,
    version = repeat_links.version + 1
where repeat_links.store_id = :store and repeat_links.id = :link and repeat_links.uses > 0;
