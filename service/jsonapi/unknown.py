"""What somebody asks for that there isn't: a resource type, or a relationship of one.

Clients of Commerce Layer know more types than there are here, and ask for them by name: they are told that it isn't a
matter of the name.
"""

from __future__ import annotations

from typing import Final

from schemas.graph import graph
from schemas.resource import Resource
from service.errors import NotFound
from service.jsonapi.nearness import nearest

COMMERCE_LAYER: Final = frozenset(
    """
    addresses adjustments adyen_gateways adyen_payments applications attachments authorizations avalara_accounts
    axerve_gateways axerve_payments bing_geocoders braintree_gateways braintree_payments bundles
    buy_x_pay_y_promotions captures carrier_accounts checkout_com_gateways checkout_com_payments cleanups
    coupon_codes_promotion_rules coupon_recipients coupons custom_promotion_rules customer_addresses customer_groups
    customer_password_resets customer_payment_sources customer_subscriptions customers delivery_lead_times
    discount_engine_items discount_engines easypost_pickups event_callbacks event_stores events exports
    external_gateways external_payments external_promotions external_tax_calculators fixed_amount_promotions
    fixed_price_promotions flex_promotions free_gift_promotions free_shipping_promotions geocoders
    gift_card_recipients gift_cards google_geocoders imports in_stock_subscriptions inventory_models
    inventory_return_locations inventory_stock_locations klarna_gateways klarna_payments line_item_options
    line_items links manual_gateways manual_tax_calculators markets merchants notifications
    order_amount_promotion_rules order_copies order_factories order_subscription_items order_subscriptions orders
    organizations packages parcel_line_items parcels payment_gateways payment_methods payment_options
    paypal_gateways paypal_payments percentage_discount_promotions pickups price_frequency_tiers
    price_list_schedulers price_lists price_tiers price_volume_tiers prices promotion_rules promotions
    recurring_order_copies refunds reserved_stocks resource_errors return_line_items returns satispay_gateways
    satispay_payments shipments shipping_categories shipping_method_tiers shipping_methods shipping_weight_tiers
    shipping_zones sku_list_items sku_list_promotion_rules sku_lists sku_options skus stock_items stock_line_items
    stock_locations stock_reservations stock_transfers stores stripe_gateways stripe_payments stripe_tax_accounts
    subscription_models tags talon_one_accounts tax_calculators tax_categories tax_rules taxjar_accounts
    transactions vertex_accounts voids webhooks wire_transfers
    """.split()  # noqa: SIM905 -- easier to read than a list
)
"""The resource types of Commerce Layer's Core API; relationships to them are mostly named after them."""


def no_type(name: str, pointer: str | None = None) -> NotFound:
    """The problem of a type that there isn't, named at a pointer or in the URL."""
    if _is_left_out(name):
        return NotFound(
            "Commerce Layer has {name}, this service has not; GET /api lists what it has.", name=name, pointer=pointer
        )
    return NotFound(
        "No resource type has this name; GET /api lists the types.", pointer=pointer, suggestion=nearest(name, graph)
    )


def no_relationship(resource: type[Resource], name: str, pointer: str | None = None) -> NotFound:
    """The problem of a relationship that a type doesn't have, named at a pointer or in the URL."""
    if _is_left_out(name):
        return NotFound("Commerce Layer has {name}, this service has not.", name=name, pointer=pointer)
    return NotFound(
        "{type} have no relationship of this name.",
        type=resource.type_,
        pointer=pointer,
        suggestion=nearest(name, resource.relationships),
    )


def _is_left_out(name: str) -> bool:
    return name in COMMERCE_LAYER and name not in graph
