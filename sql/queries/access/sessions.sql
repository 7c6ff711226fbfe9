-- name: session
-- A cart by what its session may be found by, unless it was abandoned, with the facts of its store.
select
    carts.id as cart_id,
    carts.customer_id,
    carts.converted_at,
    store_facts.*
from carts
inner join store_facts
    on carts.store_id = store_facts.id
where carts.store_id = :store and carts.session_digest = any(:sessions::text[]) and carts.status <> 'abandoned';
