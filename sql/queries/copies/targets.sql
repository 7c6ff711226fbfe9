-- name: copy
-- Copies orders: :drafts are the columns that are a copy's own, :lines its lines; the rest is as in the source order.
-- Addresses are copied too, so that no two orders share a snapshot.
with snapshots as (
    select include('parties/addresses.write_copies')
),

draft as (
    select given.*
    from jsonb_to_recordset(:drafts::jsonb) as given (
        id text, source_order_id text, number bigint, code text, status text, payment_status text,
        fulfillment_status text, customer_id text, customer_email text, billing_address_id text,
        shipping_address_id text, shipping_method_id text, payment_method_id text, customer_payment_source_id text,
        order_subscription_id text, occurrence_id text, subtotal_amount_cents bigint, shipping_amount_cents bigint,
        payment_method_amount_cents bigint, discount_amount_cents bigint, subtotal_tax_amount_cents bigint,
        prepaid_amount_cents bigint, prepaid_tax_amount_cents bigint, total_tax_amount_cents bigint,
        total_amount_cents bigint, coupon_code text, coupon_counted boolean
    )
),

made as (
    insert into orders (
        store_id, id, number, code, status, payment_status, fulfillment_status, market_id, customer_id, customer_email,
        guest, language_code, currency_code, tax_included, billing_address_id, shipping_address_id, shipping_method_id,
        payment_method_id, customer_payment_source_id, subtotal_amount_cents, shipping_amount_cents,
        payment_method_amount_cents, discount_amount_cents, subtotal_tax_amount_cents, prepaid_amount_cents,
        prepaid_tax_amount_cents, total_tax_amount_cents, total_amount_cents, coupon_code, coupon_counted,
        source_order_id, root_order_id, order_subscription_id, occurrence_id, placed_at, payment_updated_at,
        refreshed_at, created_at, updated_at, metadata
    )
    select
        source.store_id,
        draft.id,
        draft.number,
        draft.code,
        draft.status,
        draft.payment_status,
        draft.fulfillment_status,
        source.market_id,
        draft.customer_id,
        draft.customer_email,
        source.guest,
        source.language_code,
        source.currency_code,
        source.tax_included,
        draft.billing_address_id,
        draft.shipping_address_id,
        draft.shipping_method_id,
        draft.payment_method_id,
        draft.customer_payment_source_id,
        draft.subtotal_amount_cents,
        draft.shipping_amount_cents,
        draft.payment_method_amount_cents,
        draft.discount_amount_cents,
        draft.subtotal_tax_amount_cents,
        draft.prepaid_amount_cents,
        draft.prepaid_tax_amount_cents,
        draft.total_tax_amount_cents,
        draft.total_amount_cents,
        draft.coupon_code,
        draft.coupon_counted,
        source.id as source_order_id,
        coalesce(source.root_order_id, source.id) as root_order_id,
        draft.order_subscription_id,
        draft.occurrence_id,
        case when draft.status = 'placed' then :at end as placed_at,
        case when draft.status = 'placed' then :at end as payment_updated_at,
        :at as refreshed_at,
        :at as created_at,
        :at as updated_at,
        source.metadata
    from draft
    cross join lateral (
        select orders.*
        from orders
        where orders.store_id = :store and orders.id = draft.source_order_id
        order by orders.id
        limit 1
    ) as source
    returning orders.customer_id
),

lines as (
    insert into line_items (
        store_id, id, order_id, sku_id, sku_code, name, image_url, position, options, quantity, currency_code,
        unit_amount_cents, compare_at_amount_cents, options_amount_cents, discount_cents, total_amount_cents, tax_rate,
        tax_amount_cents, stock_taken, metadata, created_at, updated_at
    )
    select
        :store as store_id,
        line.id,
        line.order_id,
        line.sku_id,
        line.sku_code,
        line.name,
        line.image_url,
        line.position,
        line.options,
        line.quantity,
        line.currency_code,
        line.unit_amount_cents,
        line.compare_at_amount_cents,
        line.options_amount_cents,
        line.discount_cents,
        line.total_amount_cents,
        line.tax_rate,
        line.tax_amount_cents,
        line.stock_taken,
        line.metadata,
        :at as created_at,
        :at as updated_at
    from
        jsonb_to_recordset(:lines::jsonb) as line (
            id text, order_id text, sku_id text, sku_code text, name text, image_url text, position bigint, options jsonb,
            quantity bigint, currency_code text, unit_amount_cents bigint, compare_at_amount_cents bigint,
            options_amount_cents bigint, discount_cents bigint, total_amount_cents bigint, tax_rate numeric,
            tax_amount_cents bigint, stock_taken bigint, metadata jsonb
        )
    returning line_items.order_id
),

counted as (
    select
        'addresses' as collection,
        snapshots.customer_id
    from snapshots
    union all
    select
        'orders' as collection,
        made.customer_id
    from made
    union all
    select
        'line_items' as collection,
        draft.customer_id
    from lines
    inner join draft
        on lines.order_id = draft.id
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store as store_id,
    counted.collection,
    count(*) as delta,
    array_agg(counted.customer_id) as customers
from counted
group by counted.collection;
