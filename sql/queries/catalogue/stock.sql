-- name: take_stock
-- Takes what an order needs of each sku (:skus, :quantities) out of the stock, all skus in one order so that two orders never wait
-- for each other in a circle. Gives the tracked skus, and whether there was enough of each; of the others nothing is taken.
with wanted as (
    select
        sku_id,
        quantity
    from unnest(:skus::text[], :quantities::bigint[]) as wanted (sku_id, quantity)
),

held as (
    select
        stock_items.id,
        stock_items.sku_id,
        wanted.quantity as wanted_quantity
    from stock_items
    inner join wanted
        on stock_items.sku_id = wanted.sku_id
    inner join skus
        on stock_items.store_id = skus.store_id and stock_items.sku_id = skus.id
    where stock_items.store_id = :store and not skus.do_not_track
    order by stock_items.sku_id
    for no key update of stock_items
),

taken as (
    update stock_items
    set quantity = stock_items.quantity - held.wanted_quantity, updated_at = :at, version = stock_items.version + 1
    from held
    where
        stock_items.store_id = :store
        and stock_items.id = held.id
        and stock_items.quantity >= held.wanted_quantity
    returning stock_items.sku_id
)

select
    held.sku_id,
    taken.sku_id is not null as taken
from held
left join taken
    on held.sku_id = taken.sku_id;
