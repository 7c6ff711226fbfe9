-- name: session
-- A cart by its session, unless it was abandoned, with the facts of its store.
select
    carts.id as cart_id,
    carts.customer_id,
    carts.converted_at,
    store_facts.*
from carts
inner join store_facts
    on carts.store_id = store_facts.id
where carts.store_id = :store and carts.session = :session and carts.status <> 'abandoned';
