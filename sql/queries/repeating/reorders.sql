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
    orders.coupon_code is not null as with_coupon,
    orders.metadata,
    stores.policies -> 'carried_metadata' as carried,
    (
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
            )
        from line_items
        left join skus
            on line_items.store_id = skus.store_id and line_items.sku_code = skus.code and line_items.sku_id is null
        where line_items.store_id = :store and line_items.order_id = orders.id
    ) as lines
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
where stores.store_id = :store;

-- name: create
-- Writes a reorder with its outcomes :outcomes (a JSON array) and its event, unless its id is taken; gives the id.
with recorded as (
    select include('events/events.write')
),

made as (
    insert into reorders (
        store_id, id, source_order_id, cart_id, customer_id, strategy, stock_policy, lines, digest,
        added_count, adjusted_count, skipped_count, created_at, updated_at, reference, reference_origin, metadata,
        expected_digest
    )
    values (
        :store,
        :id,
        :source_order,
        :cart,
        :customer,
        :strategy,
        :stock_policy,
        :lines::jsonb,
        :digest,
        :added,
        :adjusted,
        :skipped,
        :at,
        :at,
        :reference,
        :reference_origin,
        :metadata::jsonb,
        :expected_digest
    )
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
    select
        :store as store_id,
        'events' as collection,
        count(*) as delta,
        '{}' as customers
    from recorded
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
)

select made.id
from made;
