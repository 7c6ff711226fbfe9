-- name: session
-- A cart by its session, unless it was abandoned, and whether its store wants If-Match.
select
    carts.id,
    carts.customer_id,
    carts.converted_at,
    coalesce(stores.policies -> 'require_if_match' = 'true'::jsonb, false) as demands_if_match
from carts
inner join stores
    on carts.store_id = stores.store_id
where carts.store_id = $1 and carts.session = $2 and carts.status <> 'abandoned';
