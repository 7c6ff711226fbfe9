-- name: take
-- Takes what an order needs of each sku (:skus, :quantities) out of the stock where it is tracked, all skus in one order so that two
-- orders never wait for each other in a circle. Gives those of which there was enough; of the others nothing is taken.
update stock_items
set quantity = stock_items.quantity - held.wanted_quantity, updated_at = :at, version = stock_items.version + 1
from (
    select
        tracked.id,
        wanted.quantity as wanted_quantity
    from unnest(:skus::text[], :quantities::bigint[]) as wanted (sku_id, quantity)
    inner join stock_items as tracked
        on wanted.sku_id = tracked.sku_id
    inner join skus
        on tracked.store_id = skus.store_id and tracked.sku_id = skus.id
    where tracked.store_id = :store and not skus.do_not_track
    order by tracked.sku_id
    for no key update of tracked
) as held
where
    stock_items.store_id = :store
    and stock_items.id = held.id
    and stock_items.quantity >= held.wanted_quantity
returning stock_items.sku_id;

-- name: tracked
-- Those of skus :skus whose stock is tracked.
select wanted.sku_id
from unnest(:skus::text[]) as wanted (sku_id)
where
    (
        select not skus.do_not_track
        from skus
        where skus.store_id = :store and skus.id = wanted.sku_id
    )
    and (
        select count(*)
        from stock_items
        where stock_items.store_id = :store and stock_items.sku_id = wanted.sku_id
    ) > 0;

-- name: take_stock
-- Takes stock as `take` does. Gives the tracked skus, and whether there was enough of each.
with taken as (
    select include('catalogue/stock.take')
),

tracked as (
    select include('catalogue/stock.tracked')
)

select
    tracked.sku_id,
    taken.sku_id is not null as taken
from tracked
left join taken
    on tracked.sku_id = taken.sku_id;
