-- What the stand-in checkout of stores in test mode shows of a cart on its way to an order that is placed.

-- name: progress
-- A cart, and the order that it became, with the amounts of whichever it is by now.
select
    orders.id as order_id,
    orders.code as order_code,
    coalesce(orders.status, carts.status) as status,
    carts.currency_code,
    coalesce(orders.tax_included, carts.tax_included) as tax_included,
    coalesce(orders.subtotal_amount_cents, carts.subtotal_amount_cents) as subtotal_amount_cents,
    coalesce(orders.shipping_amount_cents, carts.shipping_amount_cents) as shipping_amount_cents,
    coalesce(orders.payment_method_amount_cents, carts.payment_method_amount_cents) as payment_method_amount_cents,
    coalesce(orders.discount_amount_cents, carts.discount_amount_cents) as discount_amount_cents,
    coalesce(orders.total_tax_amount_cents, carts.total_tax_amount_cents) as total_tax_amount_cents,
    coalesce(orders.total_amount_cents, carts.total_amount_cents) as total_amount_cents,
    coalesce(orders.shipping_method_id, carts.shipping_method_id) as shipping_method_id,
    coalesce(orders.payment_method_id, carts.payment_method_id) as payment_method_id,
    coalesce(orders.billing_address_id, carts.billing_address_id) as billing_address_id,
    coalesce(orders.shipping_address_id, carts.shipping_address_id) as shipping_address_id,
    num_nonnulls(
        carts.customer_id, orders.customer_id, carts.customer_email, orders.customer_email, carts.repeat_link_id
    ) > 0 as known,
    case when orders.id is null then repeat_link_proofs.rule end as rule,
    repeat_link_proofs.customer_id as proving_customer_id,
    coalesce(repeat_link_proofs.answers, '{}') as answers,
    addresses.first_name,
    addresses.last_name,
    addresses.company,
    addresses.zip_code,
    exists(
        select from cart_items
        inner join skus
            on cart_items.store_id = skus.store_id and cart_items.sku_id = skus.id
        where cart_items.store_id = :store and cart_items.cart_id = carts.id and not skus.do_not_ship
    ) as ships
from carts
left join repeat_link_proofs
    on carts.store_id = repeat_link_proofs.store_id and carts.repeat_link_id = repeat_link_proofs.repeat_link_id
left join orders
    on carts.store_id = orders.store_id and carts.id = orders.cart_id
left join addresses
    on
        carts.store_id = addresses.store_id
        and coalesce(
            orders.shipping_address_id, orders.billing_address_id, carts.shipping_address_id, carts.billing_address_id
        ) = addresses.id
where carts.store_id = :store and carts.id = :cart;

-- name: items
-- What is in a cart, in the order in which it was put there.
select
    cart_items.name,
    cart_items.quantity,
    cart_items.unit_amount_cents,
    cart_items.total_amount_cents
from cart_items
where cart_items.store_id = :store and cart_items.cart_id = :cart
order by cart_items.id;

-- name: methods
-- The ways to ship and to pay that can be chosen at :at in currency :currency, the cheapest first; to pay through gateways :gateways.
select
    'shipping_method' as kind,
    shipping_methods.id,
    shipping_methods.name,
    shipping_methods.price_amount_cents,
    null as gateway
from shipping_methods
where
    shipping_methods.store_id = :store
    and can_be_chosen(shipping_methods.disabled_at, shipping_methods.currency_code, :currency, :at)
union all
select
    'payment_method' as kind,
    payment_methods.id,
    payment_methods.name,
    payment_methods.price_amount_cents,
    payment_methods.gateway
from payment_methods
where
    payment_methods.store_id = :store
    and can_be_chosen(payment_methods.disabled_at, payment_methods.currency_code, :currency, :at)
    and payment_methods.gateway = any(:gateways::text[])
order by kind, price_amount_cents, name, id;
