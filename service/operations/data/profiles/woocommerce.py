"""WooCommerce: objects of its REST API, version 3, and of that of WooCommerce Subscriptions, one on each line.

Fields are those of https://woocommerce.github.io/woocommerce-rest-api-docs/, by their tables, which are written in
`source/includes/wp-api-v3` of github.com/woocommerce/woocommerce-rest-api-docs (compared at 13d6196):

- Customer properties: `id`, `email`, `date_created_gmt`, `billing`, `shipping`.
- Product properties: `id`, `sku`, `name`, `status`, `short_description`, `images` (`src`), `virtual`, `downloadable`,
  `manage_stock`, `stock_quantity`, `stock_status`, `price`, `regular_price`, `date_created_gmt`, `date_modified_gmt`.
- Order properties: `id`, `number`, `status`, `currency`, `customer_id` (0 for guests), `prices_include_tax`,
  `discount_total`, `discount_tax`, `shipping_total`, `shipping_tax`, `total`, `total_tax`, `date_created_gmt`,
  `date_modified_gmt`, `date_paid_gmt`, `date_completed_gmt`, `billing`, `shipping`, `coupon_lines` (`code`),
  `shipping_lines` (`method_title`), `payment_method`, `payment_method_title`.
- Line items properties: `product_id`, `variation_id`, `sku`, `name`, `quantity`, `subtotal`,
  `subtotal_tax`, `total`, `total_tax`.
- Billing and shipping properties: `first_name`, `last_name`, `company`, `address_1`, `address_2`, `city`, `state`,
  `postcode`, `country`, `email`, `phone`.

Those of subscriptions are of https://woocommerce.github.io/subscriptions-rest-api-docs/ (Subscription properties),
written in `source/includes/_subscriptions.md` of github.com/woocommerce/subscriptions-rest-api-docs (at 7e664e5):
`id`, `parent_id`, `status`, `currency`, `prices_include_tax`, `billing_period`, `billing_interval`,
`start_date_gmt`, `next_payment_date_gmt`, `end_date_gmt`, `cancelled_date_gmt`, `date_created_gmt`, `line_items`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.kinds import UNITS
from service.operations.data.profiles import (
    Made,
    Profile,
    Sent,
    Sheet,
    amounts,
    called,
    cents,
    inner,
    instant,
    line,
    listed,
    method,
    named,
    on_sale,
    pieces,
    price,
    sparse,
    stock,
    text,
    whole,
    word,
)
from service.rules.intervals import Interval

_STATUSES = {
    "pending": "pending", "on-hold": "pending", "failed": "pending", "checkout-draft": "draft", "processing": "placed",
    "completed": "approved", "refunded": "approved", "cancelled": "cancelled", "trash": "cancelled",
}  # fmt: skip
_PAYMENTS = {"processing": "paid", "completed": "paid", "refunded": "refunded"}
_RUNNING = {
    "active": "active", "pending": "draft", "on-hold": "inactive", "pending-cancel": "inactive",
    "cancelled": "cancelled", "expired": "cancelled", "switched": "cancelled",
}  # fmt: skip


def _customers(rows: Sequence[Sent]) -> Iterator[Made]:
    (sent,) = rows
    id_ = f"woo-{sent['id']}"
    yield sparse(
        type="customers",
        id=id_,
        email=text(sent, "email"),
        created_at=instant(text(sent, "date_created_gmt")),
        reference=str(sent["id"]),
        reference_origin="woocommerce",
    )
    for name in ("billing", "shipping"):
        address = _address(inner(sent, name))
        if address:
            yield {"type": "addresses", "id": f"{id_}-{name}", "customer_id": id_, **address}


def _products(rows: Sequence[Sent]) -> Iterator[Made]:
    (sent,) = rows
    id_, currency = f"woo-{sent['id']}", str(sent["currency"])
    counted = bool(sent.get("manage_stock")) or text(sent, "stock_status") == "outofstock"
    made = sparse(
        type="skus",
        id=id_,
        code=text(sent, "sku") or id_,
        name=text(sent, "name"),
        description=text(sent, "short_description"),
        image_url=next((text(image, "src") for image in listed(sent, "images")), None),
        do_not_ship=bool(sent.get("virtual") or sent.get("downloadable")),
        do_not_track=not counted,
        created_at=instant(text(sent, "date_created_gmt")),
        reference=str(sent["id"]),
        reference_origin="woocommerce",
    )
    status = text(sent, "status")
    if status is not None:
        made |= on_sale(sold=status == "publish", until=instant(text(sent, "date_modified_gmt")))
    yield made
    if text(sent, "price") is not None:
        yield price(id_, currency, cents(sent, "price", currency), cents(sent, "regular_price", currency))
    if counted:
        yield stock(id_, whole(sent, "stock_quantity"))


def _orders(rows: Sequence[Sent]) -> Iterator[Made]:
    (sent,) = rows
    currency, status = str(sent["currency"]), text(sent, "status") or ""
    state = word(sent, "status", _STATUSES)
    lines = _lines(sent, currency)
    made = amounts(
        sent,
        ("total", "total_tax"),
        currency,
        lines,
        included=_included(sent),
        shipping_amount_cents=_priced(sent, sent, "shipping_total", currency),
        discount_amount_cents=-_priced(sent, sent, "discount_total", currency),
    )
    at = instant(text(sent, "date_created_gmt"))
    over = instant(text(sent, "date_completed_gmt")) or instant(text(sent, "date_modified_gmt")) or at
    placed = state in ("placed", "approved")
    yield sparse(
        type="orders",
        id=f"woo-{sent['id']}",
        number=text(sent, "number") if (text(sent, "number") or "").isdigit() else str(sent["id"]),
        code=text(sent, "number"),
        status=state,
        payment_status=_PAYMENTS.get(status, "unpaid"),
        fulfillment_status="fulfilled" if status in ("completed", "refunded") else None,
        customer_id=f"woo-{sent['customer_id']}" if sent.get("customer_id") else None,
        customer_email=text(inner(sent, "billing"), "email"),
        guest=not sent.get("customer_id"),
        currency_code=currency,
        coupon_code=next((text(coupon, "code") for coupon in listed(sent, "coupon_lines")), None),
        shipping_method=method(next((text(one, "method_title") for one in listed(sent, "shipping_lines")), None)),
        payment_method=method(text(sent, "payment_method_title"), text(sent, "payment_method")),
        billing_address=_address(inner(sent, "billing")),
        shipping_address=_address(inner(sent, "shipping")),
        placed_at=(instant(text(sent, "date_paid_gmt")) or at) if placed else None,
        approved_at=over if status in ("completed", "refunded") else None,
        cancelled_at=over if state == "cancelled" else None,
        created_at=at,
        reference=str(sent["id"]),
        reference_origin="woocommerce",
        line_items=lines,
        **made,
    )


def _subscriptions(rows: Sequence[Sent]) -> Iterator[Made]:
    (sent,) = rows
    currency, status = str(sent["currency"]), word(sent, "status", _RUNNING)
    next_run_at = instant(text(sent, "next_payment_date_gmt"))
    if status == "active" and next_run_at is None:
        # It is paid for until its end, and nothing is ordered until then.
        status = "inactive"
    items = [
        {
            "sku_code": one["sku_code"],
            "name": one["name"],
            "quantity": one["quantity"],
            "unit_amount_cents": one["unit_amount_cents"],
        }
        for one in _lines(sent, currency)
    ]
    yield sparse(
        type="order_subscriptions",
        id=f"woo-{sent['id']}",
        number=str(sent["id"]),
        status=status,
        frequency=_frequency(sent),
        source_order_id=f"woo-{sent['parent_id']}",
        anchor_at=instant(text(sent, "start_date_gmt")) if status == "active" else None,
        next_run_at=next_run_at if status == "active" else None,
        expires_at=instant(text(sent, "end_date_gmt")) if status == "active" else None,
        cancelled_at=instant(text(sent, "cancelled_date_gmt") or text(sent, "end_date_gmt"))
        if status == "cancelled"
        else None,
        created_at=instant(text(sent, "date_created_gmt")),
        reference=str(sent["id"]),
        reference_origin="woocommerce",
        order_subscription_items=items,
    )


def _frequency(sent: Sent) -> str:
    """How often. Raises Unreadable for a unit that WooCommerce doesn't have."""
    unit = word(sent, "billing_period", {one: one for one in UNITS})
    return Interval(next(one for one in UNITS if one == unit), pieces(sent, "billing_interval")).text


def _lines(sent: Sent, currency: str) -> list[Made]:
    """Lines at the prices that customers saw: `subtotal` is before the discount, `total` after it."""
    lines = []
    for one in listed(sent, "line_items"):
        before, after = (_priced(sent, one, name, currency) for name in ("subtotal", "total"))
        lines.append(
            line(
                sku=text(one, "sku") or _code(one),
                name=str(one["name"]),
                quantity=pieces(one, "quantity"),
                total=before,
                discount=before - after,
                tax=cents(one, "total_tax", currency),
            )
        )
    return lines


def _included(sent: Sent) -> bool:
    """Whether customers saw prices with the taxes in them."""
    return sent.get("prices_include_tax") is True


def _priced(order: Sent, sent: Sent, name: str, currency: str) -> int:
    """An amount that WooCommerce writes without its tax: with it, where the order's prices include taxes."""
    tax = cents(sent, f"{name.removesuffix('_total')}_tax", currency) if _included(order) else 0
    return cents(sent, name, currency) + tax


def _code(one: Sent) -> str | None:
    """The code that a product without a SKU has; None in the line of one that was deleted."""
    id_ = one.get("variation_id") or one.get("product_id")
    return f"woo-{id_}" if id_ else None


def _address(sent: Sent) -> Made:
    """An address; none where no street is given."""
    who = named(business=text(sent, "company"), first=text(sent, "first_name"), last=text(sent, "last_name"))
    if not who or text(sent, "address_1") is None:
        return {}
    return who | sparse(
        line_1=text(sent, "address_1"),
        line_2=text(sent, "address_2"),
        city=text(sent, "city") or "-",
        zip_code=text(sent, "postcode"),
        state_code=text(sent, "state"),
        country_code=text(sent, "country"),
        phone=text(sent, "phone"),
        email=text(sent, "email"),
    )


_ADDRESS = {
    "line_1": "address_1", "line_2": "address_2", "zip_code": "postcode", "state_code": "state",
    "country_code": "country",
}  # fmt: skip

PROFILE = Profile(
    "woocommerce",
    "https://woocommerce.github.io/woocommerce-rest-api-docs/",
    {
        "customers": Sheet(
            _customers,
            type_="customers",
            ids=("id",),
            called={
                **called("customers", created_at="date_created_gmt"),
                **called("addresses", "billing.", **_ADDRESS),
            },
        ),
        "products": Sheet(
            _products,
            type_="skus",
            ids=("id",),
            called={
                **called("skus", code="sku", description="short_description", created_at="date_created_gmt"),
                **called("skus", image_url="images.src", disabled_at="date_modified_gmt"),
                **called("prices", amount_cents="price", compare_at_amount_cents="regular_price"),
                **called("prices", currency_code="currency"),
                **called("stock_items", quantity="stock_quantity"),
            },
        ),
        "orders": Sheet(
            _orders,
            type_="orders",
            ids=("id",),
            called={
                **called("orders", code="number", currency_code="currency", customer_email="billing.email"),
                **called("orders", coupon_code="coupon_lines.code", created_at="date_created_gmt"),
                **called("orders", placed_at="date_paid_gmt", approved_at="date_completed_gmt"),
                **called("orders", cancelled_at="date_modified_gmt", total_amount_cents="total"),
                **called("orders", shipping_amount_cents="shipping_total", total_tax_amount_cents="total_tax"),
                **called("orders", discount_amount_cents="discount_total"),
                **called("orders", subtotal_amount_cents="line_items.subtotal"),
                **called("orders.line_items", "line_items.", sku_code="sku", unit_amount_cents="subtotal"),
                **called("orders.line_items", "line_items.", tax_amount_cents="total_tax", discount_cents="total"),
                **called("orders.billing_address", "billing.", **_ADDRESS),
                **called("orders.shipping_address", "shipping.", **_ADDRESS),
            },
        ),
        "subscriptions": Sheet(
            _subscriptions,
            type_="order_subscriptions",
            ids=("id",),
            called={
                **called("order_subscriptions", number="id", frequency="billing_period", source_order_id="parent_id"),
                **called("order_subscriptions", anchor_at="start_date_gmt", next_run_at="next_payment_date_gmt"),
                **called("order_subscriptions", expires_at="end_date_gmt", cancelled_at="cancelled_date_gmt"),
                **called("order_subscriptions", created_at="date_created_gmt"),
            },
        ),
    },
)
