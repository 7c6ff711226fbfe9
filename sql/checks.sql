-- Invariants that no constraint can state. Each returns a row per offender, none when all is well:
-- its store, its id, and what is wrong with it in words.

-- name: rows_belong_to_a_store
-- The tables without a foreign key to their store hold no row of an unknown one.
with kept as (
    select
        store_id,
        id,
        'address' as kind
    from addresses
    union all
    select
        store_id,
        id,
        'cart' as kind
    from carts
    union all
    select
        store_id,
        id,
        'order' as kind
    from orders
    union all
    select
        store_id,
        id,
        'event' as kind
    from events
)

select
    kept.store_id,
    kept.id,
    kept.kind || ' of a store that does not exist' as detail
from kept
left join stores
    on kept.store_id = stores.store_id
where stores.store_id is null;

-- name: stores_have_a_market
-- Clients of Commerce Layer find the market of every store.
select
    stores.store_id,
    stores.id,
    'no market' as detail
from stores
left join markets
    on stores.store_id = markets.store_id
where markets.store_id is null;

-- name: number_blocks_are_ahead
-- No number that is still to be handed out has been used.
with used as (
    select
        store_id,
        'orders' as kind,
        max(number) as number
    from orders
    group by store_id
    union all
    select
        store_id,
        'order_subscriptions' as kind,
        max(number) as number
    from order_subscriptions
    group by store_id
    union all
    select
        store_id,
        'skus' as kind,
        max(number) as number
    from skus
    group by store_id
)

select
    number_blocks.store_id,
    number_blocks.kind as id,
    'the next number is ' || number_blocks.next_number || ', but ' || used.number || ' exists' as detail
from number_blocks
inner join used
    on number_blocks.store_id = used.store_id and number_blocks.kind = used.kind
where used.number >= number_blocks.next_number;

-- name: cart_items_multiply_out
-- A cart item's total is its quantity times its unit price.
select
    store_id,
    id,
    quantity || ' x ' || unit_amount_cents || ' is not ' || total_amount_cents as detail
from cart_items
where total_amount_cents <> quantity::numeric * unit_amount_cents;

-- name: cart_items_keep_the_currency_of_their_cart
-- A cart has one currency.
select
    cart_items.store_id,
    cart_items.id,
    cart_items.currency_code || ' in a cart in ' || carts.currency_code as detail
from cart_items
inner join carts
    on cart_items.store_id = carts.store_id and cart_items.cart_id = carts.id
where cart_items.currency_code <> carts.currency_code;

-- name: carts_add_up
-- A cart's subtotal, discount and tax are the sums of those of its items, its total the sum of its amounts.
with items as (
    select
        store_id,
        cart_id,
        sum(total_amount_cents) as amount_cents,
        sum(discount_cents) as discount_cents,
        sum(tax_amount_cents) as tax_cents
    from cart_items
    group by store_id, cart_id
)

select
    carts.store_id,
    carts.id,
    'subtotal ' || carts.subtotal_amount_cents || ' for items of ' || coalesce(items.amount_cents, 0)
    || ', discount ' || carts.discount_amount_cents || ' for ' || coalesce(items.discount_cents, 0)
    || ', tax ' || carts.total_tax_amount_cents || ' for ' || coalesce(items.tax_cents, 0)
    || ', total ' || carts.total_amount_cents as detail
from carts
left join items
    on carts.store_id = items.store_id and carts.id = items.cart_id
where
    carts.subtotal_amount_cents <> coalesce(items.amount_cents, 0)
    or carts.discount_amount_cents <> coalesce(items.discount_cents, 0)
    or carts.total_tax_amount_cents <> coalesce(items.tax_cents, 0)
    or carts.total_amount_cents
    <> carts.subtotal_amount_cents::numeric + carts.shipping_amount_cents + carts.payment_method_amount_cents
    + carts.discount_amount_cents;

-- name: cart_items_are_discounted_by_no_more_than_they_cost
-- Nothing in a cart costs less than zero.
select
    store_id,
    id,
    'discount ' || discount_cents || ' on ' || total_amount_cents as detail
from cart_items
where total_amount_cents + discount_cents < 0;

-- name: carts_have_at_most_1000_items
-- The limit on the lines of a cart holds.
select
    store_id,
    cart_id as id,
    count(*) || ' items' as detail
from cart_items
group by store_id, cart_id
having count(*) > 1000;

-- name: converted_carts_have_an_order
-- A cart is converted exactly when an order was made of it.
select
    carts.store_id,
    carts.id,
    carts.status || case when orders.id is null then ' without an order' else ' with order ' || orders.id end as detail
from carts
left join orders
    on carts.store_id = orders.store_id and carts.id = orders.cart_id
where (carts.status = 'converted') <> (orders.id is not null);

-- name: line_items_multiply_out
-- A line's total is its quantity times its unit price, plus its options.
select
    store_id,
    id,
    quantity || ' x ' || unit_amount_cents || ' + ' || options_amount_cents || ' is not ' || total_amount_cents
        as detail
from line_items
where total_amount_cents <> quantity::numeric * unit_amount_cents + options_amount_cents;

-- name: line_items_keep_the_currency_of_their_order
-- An order has one currency.
select
    line_items.store_id,
    line_items.id,
    line_items.currency_code || ' in an order in ' || orders.currency_code as detail
from line_items
inner join orders
    on line_items.store_id = orders.store_id and line_items.order_id = orders.id
where line_items.currency_code <> orders.currency_code;

-- name: orders_add_up
-- An order's subtotal is the sum of what was bought, its total the sum of its amounts.
with lines as (
    select
        store_id,
        order_id,
        sum(total_amount_cents) as amount_cents
    from line_items
    where item_type in ('skus', 'bundles', 'gift_cards')
    group by store_id, order_id
)

select
    orders.store_id,
    orders.id,
    'subtotal ' || orders.subtotal_amount_cents || ' for lines of ' || coalesce(lines.amount_cents, 0)
    || ', total ' || orders.total_amount_cents as detail
from orders
left join lines
    on orders.store_id = lines.store_id and orders.id = lines.order_id
where
    orders.subtotal_amount_cents <> coalesce(lines.amount_cents, 0)
    or orders.total_amount_cents
    <> orders.subtotal_amount_cents::numeric + orders.shipping_amount_cents + orders.payment_method_amount_cents
    + orders.discount_amount_cents + orders.adjustment_amount_cents + orders.gift_card_amount_cents
    + orders.prepaid_amount_cents;

-- name: order_subscriptions_know_what_is_prepaid
-- How many deliveries are paid for is the sum of what the period has of them, and an order paid for them.
select
    order_subscriptions.store_id,
    order_subscriptions.id,
    order_subscriptions.prepaid_occurrences_left || ' left, paid by ' || coalesce(order_subscriptions.prepaid_order_id, 'none')
    as detail
from order_subscriptions
where
    order_subscriptions.prepaid_occurrences_left
    <> coalesce(
        (
            select sum((part.value ->> 0)::bigint)
            from jsonb_array_elements(order_subscriptions.prepaid_period -> 'parts') as part
        ),
        0
    )
    or (order_subscriptions.prepaid_occurrences_left > 0 and order_subscriptions.prepaid_order_id is null);

-- name: orders_have_at_most_1000_lines
-- The limit on the lines of an order holds.
select
    store_id,
    order_id as id,
    count(*) || ' lines' as detail
from line_items
group by store_id, order_id
having count(*) > 1000;

-- name: placed_orders_have_lines
-- Nobody has placed an empty order.
select
    orders.store_id,
    orders.id,
    orders.status || ' without a line' as detail
from orders
where
    orders.status in ('placing', 'placed', 'approved')
    and not exists (
        select 1 from line_items
        where line_items.store_id = orders.store_id and line_items.order_id = orders.id
    );

-- name: placing_orders_have_a_payment_attempt
-- An order left behind while it was being placed can be finished: the attempt says what was asked of the gateway, and
-- until when whoever asks has time.
select
    orders.store_id,
    orders.id,
    'placing without a payment attempt' as detail
from orders
where
    orders.status = 'placing'
    and not exists (
        select 1 from payment_attempts
        where
            payment_attempts.store_id = orders.store_id
            and payment_attempts.order_id = orders.id
            and payment_attempts.status = 'pending'
    );

-- name: pending_payments_are_of_orders_that_are_being_placed
-- Nobody asks a gateway for money of an order that isn't being placed.
select
    orders.store_id,
    orders.id,
    orders.status || ' with a payment that is pending' as detail
from orders
inner join payment_attempts
    on orders.store_id = payment_attempts.store_id and orders.id = payment_attempts.order_id
where payment_attempts.status = 'pending' and orders.status <> 'placing';

-- name: orders_take_over_the_customer_of_their_cart
-- A cart of a customer becomes an order of that customer.
select
    orders.store_id,
    orders.id,
    'cart ' || carts.id || ' of another customer' as detail
from orders
inner join carts
    on orders.store_id = carts.store_id and orders.cart_id = carts.id
where carts.customer_id is not null and carts.customer_id is distinct from orders.customer_id;

-- name: placed_orders_keep_snapshots_of_addresses
-- What a customer changes in the address book does not change an order that was placed.
select
    orders.store_id,
    orders.id,
    'address ' || addresses.id || ' is not a snapshot' as detail
from orders
inner join addresses
    on
        orders.store_id = addresses.store_id
        and (orders.billing_address_id = addresses.id or orders.shipping_address_id = addresses.id)
where orders.status in ('placing', 'placed', 'approved') and not addresses.snapshot;

-- name: orders_pay_from_the_wallet_of_their_customer
-- No order is paid from somebody else's wallet.
select
    orders.store_id,
    orders.id,
    'payment source ' || customer_payment_sources.id || ' of another customer' as detail
from orders
inner join customer_payment_sources
    on
        orders.store_id = customer_payment_sources.store_id
        and orders.customer_payment_source_id = customer_payment_sources.id
where orders.customer_id is distinct from customer_payment_sources.customer_id;

-- name: orders_of_an_occurrence_are_of_its_subscription
-- An order and its occurrence name the same subscription.
select
    orders.store_id,
    orders.id,
    'occurrence ' || occurrences.id || ' of another subscription' as detail
from orders
inner join occurrences
    on orders.store_id = occurrences.store_id and orders.occurrence_id = occurrences.id
where orders.order_subscription_id is distinct from occurrences.order_subscription_id;

-- name: subscriptions_belong_to_the_customer_of_their_order
-- A subscription repeats an order of its own customer.
select
    order_subscriptions.store_id,
    order_subscriptions.id,
    'source order ' || orders.id || ' of another customer' as detail
from order_subscriptions
inner join orders
    on order_subscriptions.store_id = orders.store_id and order_subscriptions.source_order_id = orders.id
where order_subscriptions.customer_id is distinct from orders.customer_id;

-- name: subscriptions_pay_from_the_wallet_of_their_customer
-- No subscription is paid from somebody else's wallet.
select
    order_subscriptions.store_id,
    order_subscriptions.id,
    'payment source ' || customer_payment_sources.id || ' of another customer' as detail
from order_subscriptions
inner join customer_payment_sources
    on
        order_subscriptions.store_id = customer_payment_sources.store_id
        and order_subscriptions.customer_payment_source_id = customer_payment_sources.id
where order_subscriptions.customer_id is distinct from customer_payment_sources.customer_id;

-- name: order_subscription_items_multiply_out
-- A subscription item's total is its quantity times its unit price.
select
    store_id,
    id,
    quantity || ' x ' || unit_amount_cents || ' is not ' || total_amount_cents as detail
from order_subscription_items
where total_amount_cents <> quantity::numeric * unit_amount_cents;

-- name: claimed_occurrences_have_a_live_copy
-- Whoever claims an occurrence makes its copy in the same transaction.
select
    occurrences.store_id,
    occurrences.id,
    'claimed, but no copy is on its way' as detail
from occurrences
where
    occurrences.status = 'claimed'
    and not exists (
        select 1 from order_factories
        where
            order_factories.store_id = occurrences.store_id
            and order_factories.occurrence_id = occurrences.id
            and order_factories.status in ('pending', 'in_progress')
    );

-- name: planned_occurrences_are_to_come
-- What the schedule has gone past is settled: nothing would ever run it.
select
    occurrences.store_id,
    occurrences.id,
    'planned, but the schedule has gone past it' as detail
from occurrences
inner join order_subscriptions
    on
        occurrences.store_id = order_subscriptions.store_id
        and occurrences.order_subscription_id = order_subscriptions.id
where occurrences.status = 'planned' and occurrences.occurrence_index < order_subscriptions.next_index;

-- name: completed_occurrences_have_an_order
-- An occurrence is completed by the order that it led to; only occurrence 0 is the source order itself.
select
    occurrences.store_id,
    occurrences.id,
    'completed without an order' as detail
from occurrences
where
    occurrences.status = 'completed'
    and occurrences.occurrence_index > 0
    and not exists (
        select 1 from orders
        where orders.store_id = occurrences.store_id and orders.occurrence_id = occurrences.id
    );

-- name: copies_of_an_occurrence_are_of_its_subscription
-- A copy and its occurrence name the same subscription.
select
    order_factories.store_id,
    order_factories.id,
    'occurrence ' || occurrences.id || ' of another subscription' as detail
from order_factories
inner join occurrences
    on order_factories.store_id = occurrences.store_id and order_factories.occurrence_id = occurrences.id
where order_factories.order_subscription_id is distinct from occurrences.order_subscription_id;

-- name: recurring_copies_repeat_the_source_order_of_their_subscription
-- A recurring copy starts from the order that its subscription repeats.
select
    order_factories.store_id,
    order_factories.id,
    'source order ' || order_factories.source_order_id || ' instead of ' || order_subscriptions.source_order_id
        as detail
from order_factories
inner join order_subscriptions
    on
        order_factories.store_id = order_subscriptions.store_id
        and order_factories.order_subscription_id = order_subscriptions.id
where
    order_factories.kind = 'recurring_order_copies'
    and order_factories.source_order_id <> order_subscriptions.source_order_id;

-- name: target_orders_point_back
-- The order that a copy made knows its source order, its subscription and its occurrence.
select
    order_factories.store_id,
    order_factories.id,
    'target order ' || orders.id || ' does not point back' as detail
from order_factories
inner join orders
    on order_factories.store_id = orders.store_id and order_factories.target_order_id = orders.id
where
    orders.source_order_id is distinct from order_factories.source_order_id
    or orders.order_subscription_id is distinct from order_factories.order_subscription_id
    or orders.occurrence_id is distinct from order_factories.occurrence_id;

-- name: repeat_links_count_their_uses
-- A link was used as often as carts made from it became orders.
select
    repeat_links.store_id,
    repeat_links.id,
    repeat_links.uses || ' uses, but ' || count(carts.id) || ' carts became orders' as detail
from repeat_links
left join carts
    on
        repeat_links.store_id = carts.store_id
        and repeat_links.id = carts.repeat_link_id
        and carts.status = 'converted'
group by repeat_links.store_id, repeat_links.id, repeat_links.uses
having repeat_links.uses <> count(carts.id);

-- name: reorders_count_their_outcomes
-- A reorder's counts are those of its outcomes.
select
    reorders.store_id,
    reorders.id,
    'counts ' || reorders.added_count || ', ' || reorders.adjusted_count || ', ' || reorders.skipped_count
    || ' differ from its outcomes' as detail
from reorders
left join reorder_outcomes
    on reorders.store_id = reorder_outcomes.store_id and reorders.id = reorder_outcomes.reorder_id
group by
    reorders.store_id, reorders.id, reorders.added_count, reorders.adjusted_count, reorders.skipped_count
having
    reorders.added_count <> count(*) filter (where reorder_outcomes.status = 'added')
    or reorders.adjusted_count <> count(*) filter (where reorder_outcomes.status = 'adjusted')
    or reorders.skipped_count <> count(*) filter (where reorder_outcomes.status = 'skipped');

-- name: reorder_outcomes_speak_of_the_source_order
-- Every outcome is about a line of the order that was repeated.
select
    reorder_outcomes.store_id,
    reorder_outcomes.id,
    'line item ' || line_items.id || ' of another order' as detail
from reorder_outcomes
inner join reorders
    on reorder_outcomes.store_id = reorders.store_id and reorder_outcomes.reorder_id = reorders.id
inner join line_items
    on reorder_outcomes.store_id = line_items.store_id and reorder_outcomes.source_line_item_id = line_items.id
where line_items.order_id <> reorders.source_order_id;
