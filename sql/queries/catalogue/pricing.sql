-- What skus cost and whether they can be bought, and what is taken off.

-- name: catalogue
-- Skus :skus as they can be bought at :at, as a JSON array: with every price that applies then, in any currency, to everybody
-- or to the members of customer groups :groups, the lowest first, and the stock where it is tracked.
select
    json_agg(
        json_build_array(
            skus.id,
            skus.number,
            skus.code,
            skus.name,
            skus.image_url,
            skus.options,
            skus.min_quantity,
            skus.max_quantity,
            skus.step_quantity,
            skus.tax_rate::text,
            skus.reorderable,
            is_offered(skus.published_at, null, :at),
            not is_offered(null, skus.disabled_at, :at),
            skus.deleted_at is not null,
            (
                select
                    json_agg(
                        json_build_array(
                            prices.min_quantity,
                            prices.amount_cents,
                            prices.compare_at_amount_cents,
                            prices.currency_code,
                            prices.customer_group_id
                        )
                        order by prices.amount_cents, prices.id
                    )
                from prices
                where
                    prices.store_id = :store and prices.sku_id = skus.id
                    and (prices.customer_group_id is null or prices.customer_group_id = any(:groups::text[]))
                    and is_offered(prices.starts_at, prices.expires_at, :at)
            ),
            case when not skus.do_not_track then stock_items.quantity end,
            not skus.do_not_ship
        )
    ) as skus
from skus
left join stock_items
    on skus.store_id = stock_items.store_id and skus.id = stock_items.sku_id
where skus.store_id = :store and skus.id = any(array(select unnest(:skus::text[])));

-- name: turns
-- The instants after :after and up to :until at which something about skus :skus changes by itself: prices begin and end, the skus
-- are published and disabled.
select distinct turns.at
from (
    select unnest(array[prices.starts_at, prices.expires_at]) as at
    from prices
    where prices.store_id = :store and prices.sku_id = any(:skus::text[])
    union all
    select unnest(array[skus.published_at, skus.disabled_at]) as at
    from skus
    where skus.store_id = :store and skus.id = any(:skus::text[])
) as turns
where turns.at > :after and turns.at <= :until
order by turns.at;

-- name: promotions
-- The promotions that apply by themselves at :at, and that of coupon code :coupon, as a JSON array. The last of each says why
-- nobody can have it then; with :counted its use is counted already.
select
    json_agg(
        json_build_array(
            promotions.id,
            promotions.percentage::text,
            promotions.amount_cents,
            promotions.coupon_code,
            promotions.currency_code,
            promotions.minimum_subtotal_cents,
            promotions.sku_codes,
            promotions.customer_group_id,
            availability.closed
        )
    ) as promotions
from promotions
cross join lateral (
    values
    (
        case
            when not is_offered(null, promotions.disabled_at, :at) then 'disabled'
            when not is_offered(promotions.starts_at, null, :at) then 'not_started'
            when not is_offered(null, promotions.expires_at, :at) then 'expired'
            when promotions.uses >= promotions.max_uses and not :counted::boolean then 'used_up'
        end
    )
) as availability (closed)
where
    promotions.store_id = :store
    and (promotions.coupon_code = :coupon or (promotions.coupon_code is null and availability.closed is null));

-- name: use_coupon
-- Counts a use of coupon code :coupon at :at, unless it is used up; gives the promotion's id.
update promotions
set
    uses = promotions.uses + 1,
    updated_at = :at,
    version = promotions.version + 1
where
    promotions.store_id = :store and promotions.coupon_code = :coupon
    and (promotions.max_uses is null or promotions.uses < promotions.max_uses)
returning promotions.id;

-- name: give_coupon_back
-- Takes an order that was never placed from the uses of coupon code :coupon.
update promotions
set
    uses = promotions.uses - 1,
    updated_at = :at,
    version = promotions.version + 1
where promotions.store_id = :store and promotions.coupon_code = :coupon and promotions.uses > 0;

-- name: terms
-- Whether a store's prices include tax, and what shipping (:shipping_method) and paying (:payment_method) cost in a currency (:currency).
select
    stores.prices_include_tax as tax_included,
    coalesce(shipping_methods.price_amount_cents, 0) as shipping_price_cents,
    coalesce(payment_methods.price_amount_cents, 0) as payment_price_cents
from stores
left join shipping_methods
    on
        stores.store_id = shipping_methods.store_id and shipping_methods.id = :shipping_method
        and shipping_methods.currency_code = :currency
left join payment_methods
    on
        stores.store_id = payment_methods.store_id and payment_methods.id = :payment_method
        and payment_methods.currency_code = :currency
where stores.store_id = :store;
