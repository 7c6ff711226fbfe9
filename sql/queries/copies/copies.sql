-- name: sources
-- The subscription and the order that a new copy names, each null when there is none; a customer (:customer, null for an
-- integration) finds only own ones.
select
    order_subscriptions.id as order_subscription_id,
    order_subscriptions.status,
    order_subscriptions.source_order_id as repeated_order_id,
    orders.id as source_order_id
from stores
left join order_subscriptions
    on
        order_subscriptions.store_id = :store
        and order_subscriptions.id = :subscription
        and (:customer::text is null or order_subscriptions.customer_id = :customer)
left join orders
    on
        orders.store_id = :store
        and orders.id = :order
        and (:customer::text is null or orders.customer_id = :customer)
where stores.store_id = :store;

-- name: lock_subscription
-- The subscription for which a customer asks for an extra run, locked, so that each sees the ones before.
select order_subscriptions.id
from order_subscriptions
where order_subscriptions.store_id = :store and order_subscriptions.id = :subscription
for no key update;

-- name: extra_runs
-- The extra runs of a subscription that were asked for after an instant: how many, when the oldest was, and when the
-- newest that made an order, or still may.
select
    count(*) as asked,
    min(order_factories.created_at) as asked_at,
    max(order_factories.created_at) filter (
        where order_factories.status in ('pending', 'in_progress', 'completed')
    ) as made_at
from order_factories
where
    order_factories.store_id = :store and order_factories.order_subscription_id = :subscription
    and order_factories.occurrence_id is null and order_factories.created_at > :since;

-- name: create
-- A pending copy, with its event; no row when the id is taken.
with recorded as (
    select include('events/events.write')
),

source as (
    select
        orders.id,
        orders.customer_id
    from orders
    where orders.store_id = :store and orders.id = :source_order
    for key share of orders
),

made as (
    insert into order_factories (
        store_id, id, kind, source_order_id, order_subscription_id, place_target_order, reuse_wallet, reference,
        reference_origin, metadata, created_at, updated_at
    )
    values (
        :store, :id, 'recurring_order_copies', :source_order, :subscription, :place, :reuse_wallet, :reference,
        :reference_origin, :metadata, :at, :at
    )
    on conflict (store_id, id) do nothing
    returning id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'events', delta => select count(*) from recorded)
    union all
    select
        :store as store_id,
        'recurring_order_copies' as collection,
        1 as delta,
        array[source.customer_id] as customers
    from made
    cross join source
)

select made.id from made;

-- name: claim
-- Gives copies to one worker until its lease ends, and with them the facts of their store. :at and :lease_end, the end of the
-- lease, are real time, as a test clock may stand still; the copies' own times are their store's. The occurrence of a
-- copy, if it has one, is claimed with it. By `case` Postgres doesn't see that an index of live copies would do, of which there
-- may be very many: copies are looked up by their keys.
with claimed as (
    update order_factories
    set
        status = 'in_progress',
        started_at = coalesce(order_factories.started_at, test_clocks.frozen_at, :at),
        attempt = order_factories.attempt + 1,
        lease_expires_at = :lease_end,
        updated_at = coalesce(test_clocks.frozen_at, :at),
        version = order_factories.version + 1
    from stores
    left join test_clocks
        on stores.store_id = test_clocks.store_id and stores.test_clock_id = test_clocks.id
    where
        order_factories.store_id = :store
        and order_factories.id = any(:copies::text[])
        and case order_factories.status
            when 'pending' then true
            when 'in_progress' then order_factories.lease_expires_at <= :at
            else false
        end
        and stores.store_id = :store
    returning
        order_factories.id,
        order_factories.kind,
        order_factories.occurrence_id,
        order_factories.updated_at,
        order_factories.attempt,
        stores.name,
        stores.slug,
        stores.mode,
        stores.currency_code,
        stores.locale,
        stores.timezone,
        test_clocks.frozen_at
),

occurred as (
    update occurrences
    set
        status = 'claimed', claimed_at = claimed.updated_at, updated_at = claimed.updated_at,
        version = occurrences.version + 1
    from claimed
    where
        occurrences.store_id = :store
        and occurrences.id = claimed.occurrence_id
        and occurrences.status in ('due', 'claimed')
)

select
    claimed.*,
    claimed.updated_at - occurrences.scheduled_at as lateness
from claimed
left join occurrences
    on occurrences.store_id = :store and claimed.occurrence_id = occurrences.id
order by claimed.id;

-- name: lease
-- When the last lease on those of these copies ends that somebody works on.
select max(lease_expires_at) from order_factories
where store_id = :store and id = any(:copies::text[]) and case status when 'in_progress' then true else false end;

-- name: release
-- Gives copies back, as if they had not been claimed; what it counts against is the number of attempts.
update order_factories
set
    status = 'pending', lease_expires_at = null, updated_at = :at, version = order_factories.version + 1
from unnest(:copies::text[], :attempts::bigint[]) as claims (id, attempt)
where
    order_factories.store_id = :store
    and order_factories.id = claims.id
    and order_factories.id = any(:copies::text[])
    and case order_factories.status when 'in_progress' then true else false end
    and order_factories.attempt = claims.attempt;

-- name: claimed
-- What claimed recurring copies (:copies) are to make, copies and subscriptions locked, everywhere in the same order: that in
-- which a subscription's runs take their turn, then those outside of its schedule, which order the items as the next run does.
-- No row for a claim (:attempts) that holds no longer.
select
    copies.id,
    copies.order_subscription_id,
    copies.occurrence_id,
    coalesce(
        occurrences.occurrence_index,
        (
            select
                coalesce(
                    min(coming.occurrence_index) filter (where coming.status = 'planned'),
                    max(coming.occurrence_index) + 1
                )
            from occurrences as coming
            where
                coming.store_id = :store
                and coming.order_subscription_id = copies.order_subscription_id
                and coming.occurrence_index >= order_subscriptions.next_index
        ),
        order_subscriptions.next_index
    ) as occurrence_index,
    copies.place_target_order,
    copies.reuse_wallet,
    occurrences.approved_amount_cents
from unnest(:copies::text[], :attempts::bigint[]) as claims (id, attempt)
inner join order_factories as copies
    on copies.store_id = :store and claims.id = copies.id
inner join order_subscriptions
    on copies.store_id = order_subscriptions.store_id and copies.order_subscription_id = order_subscriptions.id
left join occurrences
    on copies.store_id = occurrences.store_id and copies.occurrence_id = occurrences.id
where
    copies.id = any(:copies::text[])
    and case copies.status when 'in_progress' then true else false end
    and copies.attempt = claims.attempt
order by copies.order_subscription_id, occurrences.occurrence_index, copies.id
for no key update of copies, order_subscriptions;

-- name: terms
-- What runs of subscriptions :subscriptions are made from at :at, in their order, with the customer's wallet where :wallets
-- says so. The run's own address and method, where it is one of :occurrences and has them, come before the subscription's, and
-- those before its source order's; so does the way to pay, behind that of what is in the wallet. Where prices have phases or
-- deliveries are paid for together, it is counted how many runs come before it: those that made their orders, and those that are
-- due and fall before its occurrence, if it has one. One that is held isn't: it is given up as the next comes up. What a run
-- came to by itself is its total without what was paid ahead; one that was paid before had nothing to be paid with. Swaps are
-- the indexes of the runs from which on items are swapped.
select
    order_subscriptions.source_order_id,
    order_subscriptions.id as order_subscription_id,
    order_subscriptions.customer_id,
    coalesce(order_subscriptions.customer_email, orders.customer_email) as customer_email,
    customers.customer_group_id,
    orders.currency_code,
    orders.tax_included,
    stores.order_prefix,
    stores.order_suffix,
    stores.mode,
    coalesce(shipping_methods.price_amount_cents, 0) as shipping_amount_cents,
    coalesce(payment_methods.price_amount_cents, 0) as payment_method_amount_cents,
    coalesce(order_subscriptions.billing_address_id, orders.billing_address_id) as billing_address_id,
    coalesce(
        occurrences.shipping_address_id, order_subscriptions.shipping_address_id, orders.shipping_address_id
    ) as shipping_address_id,
    shipping_methods.id as shipping_method_id,
    can_be_chosen(shipping_methods.disabled_at, shipping_methods.currency_code, orders.currency_code, :at)
        as shipping_method_available,
    payment_methods.id as payment_method_id,
    can_be_chosen(payment_methods.disabled_at, payment_methods.currency_code, orders.currency_code, :at)
        as payment_method_available,
    payment_methods.gateway,
    customer_payment_sources.id as customer_payment_source_id,
    customer_payment_sources.payment_source_token,
    customer_payment_sources.expires_at as payment_source_expires_at,
    stores.gateway_url is not null and stores.gateway_secret is not null as has_external_gateway,
    order_subscriptions.status,
    order_subscriptions.place_target_order,
    order_subscriptions.max_increase_percent,
    coalesce(order_subscriptions.unavailable_policy, stores.policies ->> 'unavailable_policy') as unavailable_policy,
    order_subscriptions.pricing_phases,
    case
        when order_subscriptions.pricing_phases is not null or order_subscriptions.prepaid_occurrences is not null
            then (
                select count(*) from occurrences as others
                where
                    others.store_id = :store
                    and others.order_subscription_id = order_subscriptions.id
                    and others.occurrence_index > 0
                    and (
                        others.status = 'completed'
                        or (
                            others.status in ('due', 'claimed')
                            and others.occurrence_index < coalesce(occurrences.occurrence_index, 9223372036854775807)
                        )
                    )
            )
        else 0
    end as ran,
    last_run.total_amount_cents - last_run.prepaid_amount_cents as last_amount_cents,
    last_run.created_at as last_made_at,
    last_run.shipping_amount_cents as last_shipping_amount_cents,
    last_run.payment_method_amount_cents as last_payment_method_amount_cents,
    (
        select
            jsonb_agg(
                jsonb_build_object(
                    'sku_id', line_items.sku_id, 'options', line_items.options, 'quantity', line_items.quantity,
                    'unit_amount_cents', line_items.unit_amount_cents
                )
            )
        from line_items
        where
            line_items.store_id = :store and line_items.order_id = last_run.id and line_items.sku_id is not null
            and order_subscriptions.max_increase_percent is not null
    ) as last_lines_json,
    last_run.shipping_method_id as last_shipping_method_id,
    case when last_run.prepaid_amount_cents >= 0 then last_run.payment_method_id end as last_payment_method_id,
    (select include('subscriptions/items.swaps', subscription => order_subscriptions.id)) as swaps,
    order_subscriptions.prepaid_occurrences,
    order_subscriptions.max_occurrences,
    order_subscriptions.prepaid_period,
    case
        when order_subscriptions.prepaid_order_id is not null
            then (
                select paid.status
                from orders as paid
                where paid.store_id = :store and paid.id = order_subscriptions.prepaid_order_id
            )
    end as prepaid_order_status
from
    unnest(:subscriptions::text[], :occurrences::text[], :wallets::boolean[])
    with ordinality as wanted (id, occurrence_id, reuse_wallet, position)
inner join order_subscriptions
    on order_subscriptions.store_id = :store and wanted.id = order_subscriptions.id
left join occurrences
    on order_subscriptions.store_id = occurrences.store_id and wanted.occurrence_id = occurrences.id
inner join orders
    on order_subscriptions.store_id = orders.store_id and order_subscriptions.source_order_id = orders.id
inner join stores
    on order_subscriptions.store_id = stores.store_id
left join customers
    on order_subscriptions.store_id = customers.store_id and order_subscriptions.customer_id = customers.id
left join customer_payment_sources
    on
        wanted.reuse_wallet
        and order_subscriptions.store_id = customer_payment_sources.store_id
        and order_subscriptions.customer_id = customer_payment_sources.customer_id
        and customer_payment_sources.id
        = coalesce(order_subscriptions.customer_payment_source_id, orders.customer_payment_source_id)
left join shipping_methods
    on
        order_subscriptions.store_id = shipping_methods.store_id
        and shipping_methods.id
        = coalesce(occurrences.shipping_method_id, order_subscriptions.shipping_method_id, orders.shipping_method_id)
left join payment_methods
    on
        order_subscriptions.store_id = payment_methods.store_id
        and payment_methods.id
        = coalesce(
            customer_payment_sources.payment_method_id, order_subscriptions.payment_method_id, orders.payment_method_id
        )
left join lateral (
    select
        runs.id,
        runs.total_amount_cents,
        runs.prepaid_amount_cents,
        runs.shipping_amount_cents,
        runs.payment_method_amount_cents,
        runs.shipping_method_id,
        runs.payment_method_id,
        runs.created_at
    from orders as runs
    where runs.store_id = :store and runs.order_subscription_id = order_subscriptions.id
    order by runs.id desc
    limit 1
) as last_run
    on true
order by wanted.position;

-- name: items
-- What runs order: each a subscription (:subscriptions) with its occurrence and the index of that (:occurrences, :indexes, null
-- for one outside of the schedule), no two of them the same. That are the subscription's items, as they are this time, and
-- then what is added to the occurrence, each with the price mode that applies to it. What paid options cost is known where
-- they are those of the source order, at an agreed price, and share out over the pieces; else it is null. Each row is looked
-- up by its key: a table that Postgres takes to be small would be gone through for each of them.
with wanted as (
    select
        given.id,
        given.occurrence_id,
        given.occurrence_index
    from
        unnest(:subscriptions::text[], :occurrences::text[], :indexes::bigint[])
        as given (id, occurrence_id, occurrence_index)
),

different as materialized (
    select occurrence_items.*
    from occurrence_items
    where
        occurrence_items.store_id = :store
        and occurrence_items.occurrence_id = any(:occurrences::text[])
        and not occurrence_items.draft
),

line as (
    select
        wanted.id as order_subscription_id,
        wanted.occurrence_id,
        wanted.occurrence_index,
        item.id,
        coalesce(different.sku_id, item.sku_id) as sku_id,
        coalesce(different.sku_code, item.sku_code) as sku_code,
        coalesce(different.name, item.name) as name,
        coalesce(different.options, item.options) as options,
        coalesce(different.quantity, item.quantity) as quantity,
        coalesce(different.currency_code, item.currency_code) as currency_code,
        coalesce(different.unit_amount_cents, item.unit_amount_cents) as unit_amount_cents,
        coalesce(different.price_mode, item.price_mode) as price_mode,
        item.source_line_item_id,
        item.metadata || coalesce(different.metadata, '{}') as metadata,
        coalesce(different.updated_at, item.updated_at) as updated_at,
        false as is_added
    from wanted
    cross join lateral (
        select of_run.*
        from (
            select include('subscriptions/items.of_run', subscription => wanted.id, index => wanted.occurrence_index)
        ) as of_run
        where of_run.order_subscription_id = wanted.id
    ) as item
    left join different
        on wanted.occurrence_id = different.occurrence_id and item.id = different.order_subscription_item_id
    where coalesce(different.quantity, item.quantity) > 0
    union all
    select
        wanted.id as order_subscription_id,
        wanted.occurrence_id,
        wanted.occurrence_index,
        different.id,
        different.sku_id,
        different.sku_code,
        different.name,
        different.options,
        different.quantity,
        different.currency_code,
        different.unit_amount_cents,
        different.price_mode,
        null as source_line_item_id,
        different.metadata,
        different.updated_at,
        true as is_added
    from wanted
    inner join different
        on wanted.occurrence_id = different.occurrence_id
    where different.order_subscription_item_id is null
)

select
    line.order_subscription_id,
    line.occurrence_id,
    line.occurrence_index,
    line.id,
    'skus' as item_type,
    line.sku_id,
    line.sku_code,
    line.name,
    line.options,
    line.quantity,
    line.currency_code,
    line.unit_amount_cents,
    case
        when coalesce(source.options_amount_cents, 0) = 0 or line.options = '{}' then 0
        when
            coalesce(line.price_mode, subscription.price_mode) = 'fixed'
            and line.sku_id = source.sku_id
            and line.options = source.options
            and mod(source.options_amount_cents::numeric * line.quantity, source.quantity) = 0
            then (source.options_amount_cents::numeric * line.quantity / source.quantity)::bigint
    end as options_amount_cents,
    0 as discount_cents,
    coalesce(line.price_mode, subscription.price_mode) as price_mode,
    not sku.do_not_ship as ships,
    coalesce(source.metadata, '{}') || line.metadata as metadata,
    line.is_added,
    line.updated_at
from line
cross join lateral (
    select order_subscriptions.price_mode
    from order_subscriptions
    where order_subscriptions.store_id = :store and order_subscriptions.id = line.order_subscription_id
    order by order_subscriptions.id
    limit 1
) as subscription
cross join lateral (
    select skus.do_not_ship
    from skus
    where skus.store_id = :store and skus.id = line.sku_id
    order by skus.id
    limit 1
) as sku
left join lateral (
    select
        line_items.sku_id,
        line_items.options,
        line_items.options_amount_cents,
        line_items.quantity,
        line_items.metadata
    from line_items
    where line_items.store_id = :store and line_items.id = line.source_line_item_id
    order by line_items.id
    limit 1
) as source
    on true
order by line.is_added, line.id;

-- name: lock_stock
-- The stock of skus, locked in one order: what is left of it now is there when it is taken.
select stock_items.sku_id
from stock_items
where stock_items.store_id = :store and stock_items.sku_id = any(:skus::text[])
order by stock_items.sku_id
for no key update;

-- name: complete
-- The end of copies :copies that made an order each (:orders): they, their subscriptions and their occurrences, if they have
-- them, take note. :errors_logs says what of each was left out, :errors_counts is the number of its messages. With :succeeded
-- the run has succeeded; else its payment will tell. :outcomes are those of items that weren't ordered as they are.
with completed as (
    update order_factories
    set
        status = 'completed', completed_at = :at, target_order_id = made.order_id, errors_log = made.errors_log,
        outcomes = made.outcomes,
        errors_count = order_factories.errors_count + made.errors_count, lease_expires_at = null, updated_at = :at,
        version = order_factories.version + 1
    from unnest(
        :copies::text[], :orders::text[], :errors_logs::jsonb[], :errors_counts::bigint[], :succeeded::boolean[],
        :outcomes::jsonb[]
    ) as made (
        id, order_id, errors_log, errors_count, succeeded, outcomes
    )
    where
        order_factories.store_id = :store and order_factories.id = made.id
        and order_factories.id = any(:copies::text[])
    returning order_factories.order_subscription_id, order_factories.occurrence_id, made.succeeded
),

occurred as (
    update occurrences
    set status = 'completed', completed_at = :at, failure_type = null, updated_at = :at, version = occurrences.version + 1
    from completed
    where occurrences.store_id = :store and occurrences.id = completed.occurrence_id
),

runs as (
    select
        order_subscription_id,
        count(*) as number,
        bool_or(succeeded) as succeeded
    from completed
    group by order_subscription_id
)

update order_subscriptions
set
    last_run_at = :at,
    occurrencies = order_subscriptions.occurrencies + runs.number,
    succeeded_on_last_run = order_subscriptions.succeeded_on_last_run or runs.succeeded,
    updated_at = :at, version = order_subscriptions.version + 1
from runs
where order_subscriptions.store_id = :store and order_subscriptions.id = runs.order_subscription_id;

-- name: made
-- Copies (:copies, a JSON array) that were made in the transaction in which their occurrences came due.
with written as (
    insert into order_factories (
        store_id, id, kind, status, source_order_id, target_order_id, order_subscription_id, occurrence_id,
        place_target_order, started_at, completed_at, attempt, created_at, updated_at
    )
    select
        :store as store_id,
        made.id,
        'recurring_order_copies' as kind,
        'completed' as status,
        made.source_order_id,
        made.target_order_id,
        made.order_subscription_id,
        made.occurrence_id,
        made.place_target_order,
        :at as started_at,
        :at as completed_at,
        1 as attempt,
        :at as created_at,
        :at as updated_at
    from
        jsonb_to_recordset((select :copies::jsonb)) as made (
            id text, source_order_id text, target_order_id text, order_subscription_id text, occurrence_id text,
            place_target_order boolean
        )
    returning order_factories.source_order_id
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store as store_id,
    'recurring_order_copies' as collection,
    count(*) as delta,
    array_agg(source.customer_id) as customers
from written
cross join lateral (
    select orders.customer_id
    from orders
    where orders.store_id = :store and orders.id = written.source_order_id
    order by orders.id
    limit 1
    for key share of orders
) as source
having count(*) > 0;

-- name: prepay
-- Notes of subscriptions how many deliveries are paid for (:left) and at what (:periods, null where none is), and the orders that
-- paid (:orders, null for the one before). Their versions were raised as the runs were noted.
update order_subscriptions
set
    prepaid_occurrences_left = paid.deliveries,
    prepaid_period = paid.period,
    prepaid_order_id = coalesce(paid.order_id, order_subscriptions.prepaid_order_id)
from
    unnest(:subscriptions::text[], :left::bigint[], :periods::jsonb[], :orders::text[]) as paid (
        id, deliveries, period, order_id
    )
where
    order_subscriptions.store_id = :store
    and order_subscriptions.id = paid.id
    and order_subscriptions.id = any(:subscriptions::text[]);

-- name: hold
-- The end of copies :copies that would cost :amounts in currency :currencies, more than their subscriptions allow:
-- :errors_log says so. Their occurrences wait until somebody agrees.
with aborted as (
    update order_factories
    set
        status = 'aborted', errors_log = :errors_log, errors_count = errors_count + 1, lease_expires_at = null,
        updated_at = :at, version = version + 1
    where store_id = :store and id = any(:copies::text[])
    returning id, occurrence_id
)

update occurrences
set
    status = 'held', held_at = :at, held_amount_cents = dear.amount_cents, approved_amount_cents = null,
    currency_code = dear.currency_code, updated_at = :at, version = occurrences.version + 1
from unnest(:copies::text[], :amounts::bigint[], :currencies::text[]) as dear (id, amount_cents, currency_code)
inner join aborted
    on dear.id = aborted.id
where occurrences.store_id = :store and occurrences.id = aborted.occurrence_id;

-- name: fail
-- The end of a copy that couldn't be made: :errors_log says why, :failure_type of which type that is, :errors_count is the
-- number of its messages. Gives the subscription, if it has one, with its occurrence and the order that was to be copied,
-- and whether no copy of that occurrence has failed before; or no row when the claim (:attempt) holds no longer.
with failed as (
    update order_factories
    set
        status = 'failed', failed_at = :at, errors_log = :errors_log, errors_count = errors_count + :errors_count,
        failure_type = :failure_type, lease_expires_at = null,
        updated_at = :at, version = version + 1
    where
        store_id = :store
        and id = :copy
        and case status when 'in_progress' then true else false end
        and attempt = :attempt
    returning
        order_subscription_id,
        occurrence_id,
        source_order_id,
        not exists(
            select 1 from order_factories as before
            where
                before.store_id = :store
                and before.occurrence_id = order_factories.occurrence_id
                and before.id <> :copy
                and before.status = 'failed'
        ) as is_first
),

occurred as (
    update occurrences
    set
        status = 'failed', failure_type = :failure_type, updated_at = :at, version = occurrences.version + 1
    from failed
    where occurrences.store_id = :store and occurrences.id = failed.occurrence_id
),

noted as (
    update order_subscriptions
    set
        last_run_at = :at, errors_count = errors_count + 1, succeeded_on_last_run = false, updated_at = :at,
        version = version + 1
    from failed
    where order_subscriptions.store_id = :store and order_subscriptions.id = failed.order_subscription_id
)

select
    failed.order_subscription_id,
    failed.occurrence_id,
    failed.source_order_id,
    failed.is_first as first
from failed;

-- name: unpaid_order
-- The order of a recurring copy whose payment its gateway is asked for, or which is to be asked for anew.
select orders.id
from order_factories
inner join orders
    on order_factories.store_id = orders.store_id and order_factories.target_order_id = orders.id
where
    order_factories.store_id = :store
    and order_factories.id = :copy
    and order_factories.kind = 'recurring_order_copies'
    and (
        orders.status = 'placing'
        or orders.status = 'pending' and exists(
            select 1 from payment_attempts
            where
                payment_attempts.store_id = :store
                and payment_attempts.order_id = orders.id
                and payment_attempts.retry_at is not null
        )
    );

-- name: abandoned
-- Of all stores: copies that nobody works on at :at, real time, those of dead workers by when their leases ended after
-- those that nobody has taken; at most :limit. Most of them wait for a job that is in the queue. A global read.
select
    store_id,
    id
from order_factories
where status = 'pending' or (status = 'in_progress' and lease_expires_at <= :at)
order by lease_expires_at nulls first, id
limit :limit;
