-- Orders that are put into a cart again.

-- name: source_order
-- The order of id :id, or else of number :number, if it is customer :customer's (null: anybody's), with its customer's group and its
-- lines in their order. A line without a sku's id is looked up by the sku's code. Whether orders can be repeated at all,
-- and which of their metadata is carried, is the store's policy.
select
    orders.id,
    coalesce(stores.policies -> 'reorder_enabled' <> 'false'::jsonb, true) as offered,
    orders.placed_at,
    orders.customer_id,
    customers.customer_group_id,
    orders.currency_code,
    stores.prices_include_tax as tax_included,
    orders.coupon_code is not null as with_coupon,
    orders.metadata,
    stores.policies -> 'carried_metadata' as carried,
    lines.lines,
    lines.sku_ids
from stores
inner join orders
    on
        orders.store_id = :store
        and orders.id = coalesce(
            :id,
            (
                select numbered.id
                from orders as numbered
                where numbered.store_id = :store and numbered.number = :number
            )
        )
        and (:customer::text is null or orders.customer_id = :customer)
left join customers
    on orders.store_id = customers.store_id and orders.customer_id = customers.id
cross join lateral (
    select
        json_agg(
            json_build_array(
                line_items.id,
                line_items.item_type,
                coalesce(line_items.sku_id, skus.id),
                line_items.sku_code,
                line_items.name,
                line_items.options,
                line_items.quantity,
                line_items.currency_code,
                line_items.unit_amount_cents,
                line_items.options_amount_cents,
                line_items.metadata
            )
            order by line_items.position, line_items.id
        ) as lines,
        array_agg(coalesce(line_items.sku_id, skus.id)) as sku_ids
    from line_items
    left join skus
        on line_items.store_id = skus.store_id and line_items.sku_code = skus.code and line_items.sku_id is null
    where line_items.store_id = :store and line_items.order_id = orders.id
) as lines
where stores.store_id = :store;

-- name: facts
-- All that repeating an order is decided on: the order as `source_order` tells of it, the cart (:cart, null for its customer's
-- active one, if there is one), which is locked where it is to be held (:hold), and what the catalogue has at :at for the
-- skus of both.
with source as (
    select include('repeating/reorders.source_order')
),

wanted as (
    select coalesce(:cart, (
        select include('carts/carts.active', customer => (select source.customer_id from source))
    )) as id
),

held as (
    select carts.version
    from carts
    where carts.store_id = :store and carts.id = (select wanted.id from wanted) and :hold::boolean
    for no key update
),

cart as (
    select include('carts/carts.read', cart => (select wanted.id from wanted))
)

select
    held.version as held_version,
    source.*,
    cart.*,
    (
        select
            include(
                'catalogue/pricing.catalogue',
                skus => source.sku_ids || cart.sku_ids,
                groups => array[source.customer_group_id, cart.customer_group_id]
            )
    ) as skus_json,
    (
        select include('catalogue/pricing.promotions', coupon => cart.coupon_code, counted => false)
    ) as promotions_json
from source
left join cart
    on true
left join held
    on true;

-- name: create
-- All that a reorder writes: the cart that it makes (:opened, null for none), what has changed of another one
-- (:changed_cart, null for nothing), itself with its outcomes :outcomes (a JSON array), unless its id is taken, and events.
-- Gives the id, and the events that were written. Nothing is written, and no row given, where the customer has got a cart
-- meanwhile.
with forgotten as (
    select include('carts/carts.forget_items')
),

removed as (
    select include('carts/carts.remove_items', cart => :changed_cart)
),

priced as (
    select
        include(
            'carts/carts.set_amounts',
            cart => :changed_cart,
            metadata => :carried,
            converted_at => null::timestamptz
        )
),

opened as (
    select include('carts/carts.open', metadata => :carried)
),

ready as (
    select true as done
    where :opened::text is null or exists(select from opened)
),

written as (
    select
        include(
            'carts/carts.write_items',
            cart => coalesce(:opened, :changed_cart),
            items => (select :items::jsonb from ready)
        )
),

recorded as (
    select include('events/events.write', events => (select :events::jsonb from ready))
),

filled as (
    select priced.customer_id
    from priced
    union all
    select opened.customer_id
    from opened
),

lines as (
    select sum(line.delta) as delta
    from (
        select written.delta from written
        union all
        select removed.delta from removed
    ) as line
),

made as (
    insert into reorders (
        store_id, id, source_order_id, cart_id, customer_id, strategy, stock_policy, lines, digest,
        added_count, adjusted_count, skipped_count, created_at, updated_at, reference, reference_origin, metadata,
        expected_digest
    )
    select
        :store as store_id,
        :id as id,
        :source_order as source_order_id,
        :cart as cart_id,
        :customer as customer_id,
        :strategy as strategy,
        :stock_policy as stock_policy,
        :lines::jsonb as lines,
        :digest as digest,
        :added as added_count,
        :adjusted as adjusted_count,
        :skipped as skipped_count,
        :at as created_at,
        :at as updated_at,
        :reference as reference,
        :reference_origin as reference_origin,
        :metadata::jsonb as metadata,
        :expected_digest as expected_digest
    from ready
    on conflict (store_id, id) do nothing
    returning id
),

outcomes as (
    insert into reorder_outcomes (
        store_id, id, reorder_id, position, source_line_item_id, cart_item_id, status, code, notices, detail, name,
        sku_code, sku_number, requested_quantity, resulting_quantity, currency_code, previous_unit_amount_cents,
        current_unit_amount_cents, created_at, updated_at
    )
    select
        :store as store_id,
        outcome.id,
        made.id as reorder_id,
        outcome.position,
        outcome.source_line_item_id,
        outcome.cart_item_id,
        outcome.status,
        outcome.code,
        outcome.notices,
        outcome.detail,
        outcome.name,
        outcome.sku_code,
        outcome.sku_number,
        outcome.requested_quantity,
        outcome.resulting_quantity,
        outcome.currency_code,
        outcome.previous_unit_amount_cents,
        outcome.current_unit_amount_cents,
        :at as created_at,
        :at as updated_at
    from made
    cross join
        jsonb_to_recordset(:outcomes::jsonb) as outcome (
            id text, position bigint, source_line_item_id text, cart_item_id text, status text, code text,
            notices text[], detail text, name text, sku_code text, sku_number bigint, requested_quantity bigint,
            resulting_quantity bigint, currency_code text, previous_unit_amount_cents bigint,
            current_unit_amount_cents bigint
        )
    returning reorder_outcomes.id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'events', delta => select count(*) from recorded)
    union all
    select
        :store as store_id,
        'carts' as collection,
        1 as delta,
        array[opened.customer_id] as customers
    from opened
    union all
    select
        :store as store_id,
        'reorders' as collection,
        1 as delta,
        array[:customer] as customers
    from made
    union all
    select
        :store as store_id,
        'reorder_outcomes' as collection,
        count(*) as delta,
        array_agg(:customer) as customers
    from outcomes
    having count(*) > 0
    union all
    select
        :store as store_id,
        'cart_items' as collection,
        lines.delta,
        array_fill(filled.customer_id, array[abs(lines.delta)::int]) as customers
    from lines
    cross join filled
    where lines.delta <> 0
)

select
    made.id,
    array(select recorded.id from recorded) as recorded
from ready
left join made
    on ready.done;
