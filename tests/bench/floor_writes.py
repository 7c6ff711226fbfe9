"""What the floor writes: the rows that the service writes for the same request, each in one statement.

Binds are the store, the `id` of the query, the instant, a name that nothing has yet, and for some the body.
"""

from __future__ import annotations

_PRICED = """
    cross join lateral (
        select prices.amount_cents from prices
        where
            prices.store_id = $1 and prices.sku_id = skus.id and prices.currency_code = cart.currency_code
            and prices.customer_group_id is null and prices.min_quantity = 1
            and (prices.starts_at is null or prices.starts_at <= $3)
            and (prices.expires_at is null or prices.expires_at > $3)
        order by prices.amount_cents limit 1
    ) as price
"""

_EVENT = """
    insert into events (
        store_id, id, name, resource_type, resource_id, sequence, payload, actor_type, actor_id, created_at, updated_at
    )
"""

_TOTALS = """
    update carts
    set
        subtotal_amount_cents = carts.subtotal_amount_cents + added.total,
        total_tax_amount_cents = carts.total_tax_amount_cents + added.tax,
        total_amount_cents = carts.total_amount_cents + added.total,
        updated_at = $3,
        version = carts.version + 1
    from (
        select sum(wanted.total)::bigint as total, sum(wanted.tax)::bigint as tax from wanted
    ) as added
    where carts.store_id = $1 and carts.id = (select cart.id from cart)
"""

_COUNTED = "insert into collection_changes (store_id, collection, delta, customers)"

_REORDER = f"""
    with cart as (
        select carts.id, carts.customer_id, carts.currency_code
        from orders
        inner join carts
            on orders.store_id = carts.store_id and orders.customer_id = carts.customer_id
        where
            orders.store_id = $1 and orders.id = $2 and carts.store_id = $1 and carts.status = 'active'
            and carts.repeat_link_id is null
        for no key update of carts
    ),

    wanted as (
        select
            line_items.id as line_id, line_items.name as was_called, line_items.quantity, line_items.position,
            line_items.unit_amount_cents as previous, skus.id as sku_id, skus.number, skus.code, skus.name,
            skus.tax_rate, skus.image_url, price.amount_cents, cart.id as cart_id, cart.currency_code,
            line_items.quantity * price.amount_cents as total,
            round(line_items.quantity * price.amount_cents * skus.tax_rate / (1 + skus.tax_rate))::bigint as tax
        from cart
        cross join line_items
        inner join skus on skus.store_id = $1 and line_items.sku_id = skus.id
        {_PRICED}
        where line_items.store_id = $1 and line_items.order_id = $2
    ),

    items as (
        insert into cart_items (
            store_id, id, cart_id, sku_id, source_line_item_id, sku_code, name, image_url, quantity, currency_code,
            unit_amount_cents, total_amount_cents, tax_rate, tax_amount_cents, created_at, updated_at
        )
        select
            $1, $4 || '-' || position, cart_id, sku_id, line_id, code, name, image_url, quantity, currency_code,
            amount_cents, total, tax_rate, tax, $3, $3
        from wanted
        on conflict (store_id, cart_id, sku_id, options_digest) do update set
        quantity = cart_items.quantity + excluded.quantity,
        unit_amount_cents = excluded.unit_amount_cents,
        total_amount_cents = cart_items.total_amount_cents + excluded.total_amount_cents,
        tax_amount_cents = cart_items.tax_amount_cents + excluded.tax_amount_cents,
        updated_at = $3,
        version = cart_items.version + 1
        returning id, sku_id, version
    ),

    totals as ({_TOTALS}),

    made as (
        insert into reorders (
            store_id, id, source_order_id, cart_id, customer_id, digest, added_count, adjusted_count, skipped_count,
            created_at, updated_at
        )
        select $1, $4, $2, cart.id, cart.customer_id, $4, (select count(*) from wanted), 0, 0, $3, $3
        from cart
    ),

    outcomes as (
        insert into reorder_outcomes (
            store_id, id, reorder_id, position, source_line_item_id, cart_item_id, status, name, sku_code, sku_number,
            requested_quantity, resulting_quantity, currency_code, previous_unit_amount_cents,
            current_unit_amount_cents, created_at, updated_at
        )
        select
            $1, $4 || '-' || position, $4, position, line_id, items.id, 'added', was_called, code, number, quantity,
            quantity, currency_code, previous, amount_cents, $3, $3
        from wanted
        inner join items on wanted.sku_id = items.sku_id
    ),

    event as (
        {_EVENT}
        select $1, $4, 'reorders.create', 'reorders', $4, 1, '{{}}', 'tokens', 'floor', $3, $3
    ),

    counted as (
        {_COUNTED}
        select $1, made.collection, made.amount, array_fill(cart.customer_id, array[made.amount])
        from cart
        cross join (
            select 'reorders', 1
            union all
            select 'reorder_outcomes', (select count(*) from wanted)::int
            union all
            select 'cart_items', (select count(*) from items where items.version = 1)::int
        ) as made (collection, amount)
        union all
        select $1, 'events', 1, '{{}}'
    )

    select json_build_object('id', $4::text, 'cart', cart.id, 'added_count', (select count(*) from wanted))::text
    from cart
"""

_CART_ITEM = f"""
    with cart as (
        select carts.id, carts.currency_code, carts.customer_id from carts
        where carts.store_id = $1 and carts.id = $2 and carts.status = 'active'
        for no key update
    ),

    wanted as (
        select
            skus.id as sku_id, skus.code, skus.name, skus.tax_rate, skus.image_url, price.amount_cents as total,
            round(price.amount_cents * skus.tax_rate / (1 + skus.tax_rate))::bigint as tax, cart.id as cart_id,
            cart.currency_code
        from cart
        inner join skus on skus.store_id = $1 and skus.code = $5
        {_PRICED}
    ),

    items as (
        insert into cart_items (
            store_id, id, cart_id, sku_id, sku_code, name, image_url, quantity, currency_code, unit_amount_cents,
            total_amount_cents, tax_rate, tax_amount_cents, created_at, updated_at
        )
        select
            $1, $4, cart_id, sku_id, code, name, image_url, 1, currency_code, total, total, tax_rate, tax, $3, $3
        from wanted
        returning row_to_json(cart_items)::text as item
    ),

    totals as ({_TOTALS}),

    event as (
        {_EVENT}
        select $1, $4, 'cart_items.create', 'cart_items', $4, 1, '{{}}', 'tokens', 'floor', $3, $3
    ),

    counted as (
        {_COUNTED}
        select $1, 'cart_items', 1, array[cart.customer_id] from cart
        union all
        select $1, 'events', 1, '{{}}'
    )

    select items.item from items
"""

_COPY = f"""
    with copy as (
        insert into order_factories (
            store_id, id, kind, source_order_id, order_subscription_id, created_at, updated_at
        )
        select $1, $4, 'recurring_order_copies', source_order_id, id, $3, $3
        from order_subscriptions
        where store_id = $1 and id = $2 and status = 'active'
        returning row_to_json(order_factories)::text as made, source_order_id
    ),

    event as (
        {_EVENT}
        select
            $1, $4, 'recurring_order_copies.create', 'recurring_order_copies', $4, 1, '{{}}', 'tokens', 'floor', $3, $3
    ),

    job as (
        insert into pgqueuer.pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, status)
        values (0, 'order_factories', convert_to($4, 'UTF8'), $3, $4, 'queued')
        returning id, entrypoint, priority, status
    ),

    logged as (
        insert into pgqueuer.pgqueuer_log (job_id, status, entrypoint, priority)
        select id, status, entrypoint, priority from job
    ),

    counted as (
        {_COUNTED}
        select $1, 'recurring_order_copies', 1, array[orders.customer_id]
        from copy
        inner join orders on orders.store_id = $1 and copy.source_order_id = orders.id
        union all
        select $1, 'events', 1, '{{}}'
    )

    select made from copy
"""

_BATCH = f"""
    with made as (
        insert into customers (store_id, id, email, created_at, updated_at)
        select $1, $4 || '-' || position, email, $3, $3
        from json_array_elements_text($5::json) with ordinality as given (email, position)
        returning row_to_json(customers) as customer, id
    ),

    event as (
        {_EVENT}
        select $1, id, 'customers.create', 'customers', id, 1, '{{}}', 'tokens', 'floor', $3, $3
        from made
    ),

    counted as (
        {_COUNTED}
        select $1, collection, (select count(*) from made), '{{}}'
        from unnest(array['customers', 'events']) as collection
    )

    select json_agg(made.customer)::text from made where $2 <> ''
"""

WRITES = {"/reorder": _REORDER, "/cart-item": _CART_ITEM, "/copy": _COPY, "/batch": _BATCH}
"""Path -> the statement."""

WITH_BODY = {"/cart-item", "/batch"}
"""The paths whose statement is given the body."""
