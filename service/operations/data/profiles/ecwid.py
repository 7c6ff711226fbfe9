"""Ecwid: objects of its REST API, version 3, one on each line.

Fields are those of https://docs.ecwid.com/api-reference/rest-api, by their objects:

- Customers: `id`, `email`, `registered`, `shippingAddresses`.
- Products: `id`, `sku`, `name`, `description`, `imageUrl`, `price`, `compareToPrice`, `unlimited`, `quantity`,
  `isShippingRequired`, `enabled`, `created`, `updated`.
- Orders: `id`, `orderNumber`, `vendorOrderNumber` (an order's `id` in older answers), `internalId`, `email`,
  `paymentStatus`, `fulfillmentStatus`, `createDate`, `updateDate`, `customerId`, `total`, `tax`, `pricesIncludeTax`,
  `couponDiscount`, `discount`, `discountCoupon` (`code`), `shippingOption` (`shippingRate`, `shippingMethodName`),
  `paymentMethod`.
- OrderItem: `productId`, `sku`, `name`, `quantity`, `price`, `tax`, `selectedOptions` (`name`, `value`).
- PersonInfo: `name`, `companyName`, `street`, `city`, `countryCode`, `postalCode`, `stateOrProvinceCode`, `phone`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    slug,
    sparse,
    stock,
    text,
    whole,
)

_PAYMENTS = {
    "PAID": "paid", "REFUNDED": "refunded", "PARTIALLY_REFUNDED": "partially_refunded", "CANCELLED": "voided",
    "AWAITING_PAYMENT": "unpaid", "INCOMPLETE": "unpaid",
}  # fmt: skip
_FULFILLED = {
    "SHIPPED": "fulfilled", "DELIVERED": "fulfilled", "RETURNED": "fulfilled", "PROCESSING": "in_progress",
    "OUT_FOR_DELIVERY": "in_progress", "READY_FOR_PICKUP": "in_progress",
}  # fmt: skip


def _customers(rows: Sequence[Sent]) -> Iterator[Made]:
    (sent,) = rows
    id_ = f"ecwid-{sent['id']}"
    yield sparse(
        type="customers",
        id=id_,
        email=text(sent, "email"),
        created_at=instant(text(sent, "registered")),
        reference=str(sent["id"]),
        reference_origin="ecwid",
    )
    for one in listed(sent, "shippingAddresses"):
        address = _address(one)
        if address:
            yield {"type": "addresses", "id": f"{id_}-{one['id']}", "customer_id": id_, **address}


def _products(rows: Sequence[Sent]) -> Iterator[Made]:
    (sent,) = rows
    id_, currency = f"ecwid-{sent['id']}", str(sent["currency"])
    made = sparse(
        type="skus",
        id=id_,
        code=text(sent, "sku") or id_,
        name=text(sent, "name"),
        description=text(sent, "description"),
        image_url=text(sent, "imageUrl"),
        do_not_ship=sent.get("isShippingRequired") is False,
        do_not_track=sent.get("unlimited") is True,
        created_at=instant(text(sent, "created")),
    )
    if "enabled" in sent:
        made |= on_sale(sold=sent["enabled"] is True, until=instant(text(sent, "updated")))
    yield made
    yield price(id_, currency, cents(sent, "price", currency), cents(sent, "compareToPrice", currency))
    if sent.get("unlimited") is not True:
        yield stock(id_, whole(sent, "quantity"))


def _orders(rows: Sequence[Sent]) -> Iterator[Made]:
    (sent,) = rows
    currency = str(sent["currency"])
    code = text(sent, "id") or text(sent, "vendorOrderNumber") or str(sent["orderNumber"])
    payment, at = str(sent["paymentStatus"]), instant(text(sent, "createDate"))
    lines = [
        line(
            sku=text(one, "sku") or (f"ecwid-{one['productId']}" if one.get("productId") else None),
            name=str(one["name"]),
            quantity=pieces(one, "quantity"),
            total=cents(one, "price", currency) * pieces(one, "quantity"),
            tax=cents(one, "tax", currency),
        )
        | sparse(options=_options(one))
        for one in listed(sent, "items")
    ]
    discount = cents(sent, "couponDiscount", currency) + cents(sent, "discount", currency)
    made = amounts(
        sent,
        ("total", "tax"),
        currency,
        lines,
        included=sent.get("pricesIncludeTax") is True,
        shipping_amount_cents=cents(inner(sent, "shippingOption"), "shippingRate", currency),
        discount_amount_cents=-discount,
    )
    status = "cancelled" if payment == "CANCELLED" else "pending" if _PAYMENTS.get(payment) == "unpaid" else "placed"
    yield sparse(
        type="orders",
        id=slug("ecwid-", code),
        number=text(sent, "orderNumber") or text(sent, "internalId"),
        code=code,
        status=status,
        payment_status=_PAYMENTS.get(payment, "unpaid"),
        fulfillment_status=_FULFILLED.get(str(sent.get("fulfillmentStatus"))),
        customer_id=f"ecwid-{sent['customerId']}" if sent.get("customerId") else None,
        customer_email=text(sent, "email"),
        guest=not sent.get("customerId"),
        currency_code=currency,
        coupon_code=text(inner(sent, "discountCoupon"), "code"),
        shipping_method=method(text(inner(sent, "shippingOption"), "shippingMethodName")),
        payment_method=method(text(sent, "paymentMethod")),
        billing_address=_address(inner(sent, "billingPerson")),
        shipping_address=_address(inner(sent, "shippingPerson")),
        placed_at=at if status == "placed" else None,
        cancelled_at=(instant(text(sent, "updateDate")) or at) if status == "cancelled" else None,
        created_at=at,
        reference=code,
        reference_origin="ecwid",
        line_items=lines,
        **made,
    )


def _options(sent: Sent) -> Made:
    return {str(one["name"]): str(one.get("value", "")) for one in listed(sent, "selectedOptions")}


def _address(sent: Sent) -> Made:
    """An address; none where no street is given. Ecwid has one field for the whole name, and one for both lines."""
    first, _, last = (text(sent, "name") or "").partition(" ")
    who = named(business=text(sent, "companyName"), first=first or None, last=last or None)
    street, _, behind = (text(sent, "street") or "").partition("\n")
    if not who or not street:
        return {}
    return who | sparse(
        line_1=street.strip(),
        line_2=behind.strip() or None,
        city=text(sent, "city") or "-",
        zip_code=text(sent, "postalCode"),
        state_code=text(sent, "stateOrProvinceCode"),
        country_code=text(sent, "countryCode"),
        phone=text(sent, "phone"),
    )


_ADDRESS = {
    "first_name": "name", "last_name": "name", "company": "companyName", "line_1": "street", "line_2": "street",
    "city": "city", "zip_code": "postalCode", "state_code": "stateOrProvinceCode", "country_code": "countryCode",
    "phone": "phone",
}  # fmt: skip

PROFILE = Profile(
    "ecwid",
    "https://docs.ecwid.com/api-reference/rest-api",
    {
        "customers": Sheet(
            _customers,
            type_="customers",
            ids=("id",),
            called={
                **called("customers", created_at="registered"),
                **called("addresses", "shippingAddresses.", **_ADDRESS),
            },
        ),
        "products": Sheet(
            _products,
            type_="skus",
            ids=("id",),
            called={
                **called("skus", code="sku", image_url="imageUrl", created_at="created", disabled_at="updated"),
                **called("prices", amount_cents="price", compare_at_amount_cents="compareToPrice"),
                **called("prices", currency_code="currency"),
            },
        ),
        "orders": Sheet(
            _orders,
            type_="orders",
            ids=("id", "vendorOrderNumber", "orderNumber"),
            called={
                **called("orders", number="orderNumber", code="id", customer_id="customerId", customer_email="email"),
                **called(
                    "orders", currency_code="currency", coupon_code="discountCoupon.code", created_at="createDate"
                ),
                **called("orders", placed_at="createDate", cancelled_at="updateDate", total_amount_cents="total"),
                **called("orders", shipping_amount_cents="shippingOption.shippingRate", total_tax_amount_cents="tax"),
                **called("orders", discount_amount_cents="discount", subtotal_amount_cents="items.price"),
                **called("orders.line_items", "items.", sku_code="sku", name="name", quantity="quantity"),
                **called("orders.line_items", "items.", unit_amount_cents="price", tax_amount_cents="tax"),
                **called("orders.billing_address", "billingPerson.", **_ADDRESS),
                **called("orders.shipping_address", "shippingPerson.", **_ADDRESS),
            },
        ),
    },
)
