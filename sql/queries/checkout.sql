-- What the stand-in checkout of stores in test mode shows.

-- name: cart
-- An active cart by its session, with its store, if that is in test mode.
select
    stores.store_id,
    stores.name,
    stores.slug,
    stores.mode,
    stores.currency_code,
    stores.locale,
    stores.timezone,
    stores.repeat_order_url,
    test_clocks.frozen_at,
    carts.id,
    carts.currency_code as cart_currency_code,
    carts.tax_included,
    carts.subtotal_amount_cents,
    carts.shipping_amount_cents,
    carts.payment_method_amount_cents,
    carts.discount_amount_cents,
    carts.total_tax_amount_cents,
    carts.total_amount_cents
from carts
inner join stores
    on carts.store_id = stores.store_id
left join test_clocks
    on stores.store_id = test_clocks.store_id and stores.test_clock_id = test_clocks.id
where carts.store_id = $1 and carts.session = $2 and carts.status = 'active' and stores.mode = 'test';

-- name: items
-- What is in a cart, in the order in which it was put there.
select
    cart_items.name,
    cart_items.quantity,
    cart_items.unit_amount_cents,
    cart_items.total_amount_cents
from cart_items
where cart_items.store_id = $1 and cart_items.cart_id = $2
order by cart_items.id;
