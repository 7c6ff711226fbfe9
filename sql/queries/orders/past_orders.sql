-- The past orders of a customer, as a storefront lists them.

-- name: latest
-- A customer's placed orders with their lines, the latest first, at most `:most`; only that of an id where one is given.
select
    orders.id,
    orders.code,
    orders.placed_at,
    orders.currency_code,
    orders.total_amount_cents,
    orders.prepaid_amount_cents,
    (
        select json_agg(json_build_array(line_items.name, line_items.quantity, line_items.image_url) order by line_items.position)
        from line_items
        where line_items.store_id = :store and line_items.order_id = orders.id
    )::text as lines
from orders
where
    orders.store_id = :store
    and orders.customer_id = :customer
    and orders.placed_at is not null
    and (:order::text is null or orders.id = :order)
order by orders.placed_at desc, orders.id asc
limit :most;
