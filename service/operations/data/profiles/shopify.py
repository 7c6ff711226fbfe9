"""Shopify: the tables that its admin exports, `customers_export.csv`, `products_export.csv` and `orders_export.csv`.

Columns are those of three pages of https://help.shopify.com/en/manual, by their tables:

- customers/import-export-customers: `Customer ID`, `First Name`, `Last Name`, `Email`, `Total Orders`, and `Company`,
  `Address1`, `Address2`, `City`, `Province Code`, `Country Code`, `Zip`, `Phone` after `Default Address`.
- products/import-export/using-csv: `Title`, `Status`, and the columns of `RENAMED`, with their names of today and
  those that files had before. The names of today are those of `product_template.csv`, which that page links to.
  `Currency` is none of Shopify's: a shop may add it.
- fulfillment/managing-orders/exporting-orders: `Name`, `Email`, `Financial Status`, `Paid at`, `Fulfillment Status`,
  `Currency`, `Subtotal`, `Shipping`, `Taxes`, `Total`, `Discount Code`, `Discount Amount`, `Created at`,
  `Cancelled at`, `Id`, `Shipping Method`, `Payment Method`,
  `Lineitem quantity`, `Lineitem name`, `Lineitem price`, `Lineitem sku`, `Lineitem discount`, `Lineitem taxable`, and
  `Name`, `Street`, `Address1`, `Address2`, `Company`, `City`, `Zip`, `Province`, `Country`, `Phone` after `Billing` and
  `Shipping`.
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
    cost,
    instant,
    line,
    method,
    named,
    number,
    on_sale,
    pieces,
    price,
    slug,
    sparse,
    stock,
    text,
    whole,
)
from service.rules.discounts import shares_of

_PAYMENTS = {
    "paid": "paid", "authorized": "authorized", "partially_paid": "partially_paid", "refunded": "refunded",
    "partially_refunded": "partially_refunded", "voided": "voided",
}  # fmt: skip


RENAMED = {
    "URL handle": "Handle", "SKU": "Variant SKU", "Price": "Variant Price",
    "Compare-at price": "Variant Compare At Price", "Weight value (grams)": "Variant Grams",
    "Inventory tracker": "Variant Inventory Tracker", "Inventory quantity": "Variant Inventory Qty",
    "Requires shipping": "Variant Requires Shipping", "Product image URL": "Image Src",
    "Variant image URL": "Variant Image", "Option1 value": "Option1 Value", "Option2 value": "Option2 Value",
    "Option3 value": "Option3 Value",
}  # fmt: skip
"""Columns of products by their names of today, and what they were called before."""


def _customers(rows: Sequence[Sent]) -> Iterator[Made]:
    (sent,) = rows
    id_ = slug("shopify-", (text(sent, "Customer ID") or str(sent["Email"])).lstrip("'"))
    orders = whole(sent, "Total Orders")
    yield sparse(
        type="customers",
        id=id_,
        email=text(sent, "Email"),
        status="repeat" if orders > 1 else "acquired" if orders else "prospect",
        reference=(text(sent, "Customer ID") or "").lstrip("'") or None,
        reference_origin="shopify",
    )
    who = named(
        business=text(sent, "Default Address Company"), first=text(sent, "First Name"), last=text(sent, "Last Name")
    )
    if who and text(sent, "Default Address Address1"):
        yield (
            {"type": "addresses", "id": f"{id_}-default"[:64], "customer_id": id_}
            | who
            | sparse(
                line_1=text(sent, "Default Address Address1"),
                line_2=text(sent, "Default Address Address2"),
                city=text(sent, "Default Address City") or "-",
                zip_code=(text(sent, "Default Address Zip") or "").lstrip("'") or None,
                state_code=text(sent, "Default Address Province Code"),
                country_code=text(sent, "Default Address Country Code"),
                phone=(text(sent, "Default Address Phone") or "").lstrip("'") or None,
            )
        )


def _products(rows: Sequence[Sent]) -> Iterator[Made]:
    first, currency = rows[0], str(rows[0]["Currency"])
    for sent in rows:
        if text(sent, "Variant Price") is None:
            continue  # a row of another picture
        chosen = [text(sent, f"Option{n} Value") for n in (1, 2, 3)]
        values = [one for one in chosen if one not in (None, "Default Title")]
        code = text(sent, "Variant SKU") or "-".join([str(first["Handle"]), *map(str, values)])
        id_ = slug("shopify-", code.lstrip("'"))
        made = sparse(
            type="skus",
            id=id_,
            code=code.lstrip("'"),
            name=" ".join([str(first["Title"]), *map(str, values)]),
            image_url=text(sent, "Variant Image") or text(first, "Image Src"),
            weight=float(number(sent, "Variant Grams")) or None,
            unit_of_weight="gr" if number(sent, "Variant Grams") else None,
            do_not_ship=(text(sent, "Variant Requires Shipping") or "").lower() == "false",
            do_not_track=text(sent, "Variant Inventory Tracker") is None,
        )
        if (status := text(first, "Status")) is not None:
            made |= on_sale(sold=status.lower() == "active")
        yield made
        compared = cents(sent, "Variant Compare At Price", currency)
        yield price(id_, currency, cents(sent, "Variant Price", currency), compared)
        if text(sent, "Variant Inventory Qty") is not None and text(sent, "Variant Inventory Tracker") is not None:
            yield stock(id_, whole(sent, "Variant Inventory Qty"))


def _orders(rows: Sequence[Sent]) -> Iterator[Made]:
    sent = rows[0]
    currency, code = str(sent["Currency"]), str(sent["Name"])
    lines = [
        line(
            sku=text(one, "Lineitem sku"),
            name=str(one["Lineitem name"]),
            quantity=pieces(one, "Lineitem quantity"),
            total=cents(one, "Lineitem price", currency) * pieces(one, "Lineitem quantity"),
            discount=cents(one, "Lineitem discount", currency),
        )
        for one in rows
        if text(one, "Lineitem name")
    ]
    total, taxes, shipping = (cents(sent, name, currency) for name in ("Total", "Taxes", "Shipping"))
    discount = cents(sent, "Discount Amount", currency)
    taxable = [(text(one, "Lineitem taxable") or "").lower() != "false" for one in rows if text(one, "Lineitem name")]
    _tax(lines, taxable, taxes, shipping=shipping, discount=discount)
    made = amounts(
        sent,
        ("Total", "Taxes"),
        currency,
        lines,
        # No column says whether prices included taxes: they did where the total has no room for them.
        included=taxes > 0 and total == cents(sent, "Subtotal", currency) + shipping,
        shipping_amount_cents=shipping,
        discount_amount_cents=-discount,
    )
    at, cancelled = instant(text(sent, "Created at")), instant(text(sent, "Cancelled at"))
    payment = (text(sent, "Financial Status") or "").lower()
    digits = "".join(character for character in code if character.isdigit())
    yield sparse(
        type="orders",
        id=slug("shopify-", (text(sent, "Id") or digits).lstrip("'")),
        number=digits or None,
        code=code,
        status="cancelled" if cancelled else "placed",
        payment_status=_PAYMENTS.get(payment, "unpaid"),
        fulfillment_status="fulfilled" if (text(sent, "Fulfillment Status") or "").lower() == "fulfilled" else None,
        customer={"email": text(sent, "Email")} if text(sent, "Email") else None,
        customer_email=text(sent, "Email"),
        currency_code=currency,
        coupon_code=text(sent, "Discount Code"),
        shipping_method=method(text(sent, "Shipping Method")),
        payment_method=method(text(sent, "Payment Method")),
        billing_address=_address(sent, "Billing"),
        shipping_address=_address(sent, "Shipping"),
        placed_at=None if cancelled else instant(text(sent, "Paid at")) or at,
        cancelled_at=cancelled,
        created_at=at,
        reference=(text(sent, "Id") or "").lstrip("'") or None,
        reference_origin="shopify",
        line_items=lines,
        **made,
    )


def _tax(lines: Sequence[Made], taxable: Sequence[bool], taxes: int, *, shipping: int, discount: int) -> None:
    """Spread an order's taxes, of which Shopify writes only the sum, over its taxable lines and its shipping.

    Each has its part by what it cost after the order's discount; what lines leave of the taxes is the shipping's.
    """
    costs = [cost(one) for one in lines]
    less = shares_of(min(discount, sum(costs)), costs)
    bases = [cost - off if taxed else 0 for cost, off, taxed in zip(costs, less, taxable, strict=True)]
    if any(bases):
        for one, tax in zip(lines, shares_of(taxes, [*bases, max(shipping, 0)]), strict=False):
            one["tax_amount_cents"] = tax


def _address(sent: Sent, name: str) -> Made:
    """An address; none where no street is given. Shopify has one column for the whole name."""
    first, _, last = (text(sent, f"{name} Name") or "").partition(" ")
    who = named(business=text(sent, f"{name} Company"), first=first or None, last=last or None)
    street = text(sent, f"{name} Address1") or text(sent, f"{name} Street")
    if not who or street is None:
        return {}
    return who | sparse(
        line_1=street,
        line_2=text(sent, f"{name} Address2"),
        city=text(sent, f"{name} City") or "-",
        zip_code=(text(sent, f"{name} Zip") or "").lstrip("'") or None,
        state_code=text(sent, f"{name} Province"),
        country_code=text(sent, f"{name} Country"),
        phone=(text(sent, f"{name} Phone") or "").lstrip("'") or None,
    )


_ADDRESS = {
    "line_1": "Address1", "line_2": "Address2", "company": "Company", "city": "City", "zip_code": "Zip",
    "phone": "Phone",
}  # fmt: skip
_PLACE = {"first_name": "Name", "last_name": "Name", "state_code": "Province", "country_code": "Country"}

PROFILE = Profile(
    "shopify",
    "https://help.shopify.com/en/manual/fulfillment/managing-orders/exporting-orders",
    {
        "customers": Sheet(
            _customers,
            type_="customers",
            ids=("Customer ID", "Email"),
            called={
                **called("customers", id="Customer ID", email="Email"),
                **called("addresses", first_name="First Name", last_name="Last Name", customer_id="Customer ID"),
                **called("addresses", "Default Address ", **_ADDRESS),
                **called("addresses", "Default Address ", state_code="Province Code", country_code="Country Code"),
            },
        ),
        "products": Sheet(
            _products,
            ("Handle", "URL handle"),
            "skus",
            called={
                **called("skus", id="Variant SKU", code="Variant SKU", name="Title", image_url="Image Src"),
                **called("skus", weight="Variant Grams"),
                **called("prices", amount_cents="Variant Price", compare_at_amount_cents="Variant Compare At Price"),
                **called("prices", currency_code="Currency", sku_id="Variant SKU"),
                **called("stock_items", quantity="Variant Inventory Qty", sku_id="Variant SKU"),
            },
            renamed=RENAMED,
        ),
        "orders": Sheet(
            _orders,
            ("Name",),
            "orders",
            called={
                **called("orders", id="Id", number="Name", code="Name", customer_email="Email", placed_at="Paid at"),
                **called("orders.customer", email="Email"),
                **called("orders", currency_code="Currency", coupon_code="Discount Code", created_at="Created at"),
                **called("orders", cancelled_at="Cancelled at", total_amount_cents="Total"),
                **called("orders", shipping_amount_cents="Shipping", discount_amount_cents="Discount Amount"),
                **called("orders", total_tax_amount_cents="Taxes", subtotal_amount_cents="Lineitem price"),
                **called("orders.line_items", sku_code="Lineitem sku", name="Lineitem name"),
                **called("orders.line_items", quantity="Lineitem quantity", unit_amount_cents="Lineitem price"),
                **called("orders.billing_address", "Billing ", **_ADDRESS, **_PLACE),
                **called("orders.shipping_address", "Shipping ", **_ADDRESS, **_PLACE),
            },
        ),
    },
    currency="Currency",
)
