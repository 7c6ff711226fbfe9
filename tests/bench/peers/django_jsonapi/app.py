"""djangorestframework-jsonapi over the store's tables: models, serializers and viewsets as its documentation has them.

Run by gunicorn as `app:application`. libpq's environment says where the database is, BENCH_COLUMNS which columns each
type has.
"""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar

import django
from django.conf import settings

COLUMNS: dict[str, list[str]] = json.loads(os.environ["BENCH_COLUMNS"])
STORE = int(os.environ["BENCH_STORE"])

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": os.environ["PGUSER"],
            "NAME": os.environ["PGDATABASE"],
            "CONN_MAX_AGE": None,
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django_filters",
        "rest_framework",
        "rest_framework_json_api",
    ],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_PAGINATION_CLASS": "rest_framework_json_api.pagination.JsonApiPageNumberPagination",
        "DEFAULT_PARSER_CLASSES": ["rest_framework_json_api.parsers.JSONParser"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework_json_api.renderers.JSONRenderer"],
        "DEFAULT_METADATA_CLASS": "rest_framework_json_api.metadata.JSONAPIMetadata",
        "DEFAULT_FILTER_BACKENDS": (
            "rest_framework_json_api.filters.OrderingFilter",
            "rest_framework_json_api.django_filters.DjangoFilterBackend",
        ),
        "EXCEPTION_HANDLER": "rest_framework_json_api.exceptions.exception_handler",
    },
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework_json_api import serializers, views  # noqa: E402
from rest_framework_json_api.relations import ResourceRelatedField  # noqa: E402

KINDS = {
    "text": models.TextField,
    "bigint": models.BigIntegerField,
    "boolean": models.BooleanField,
    "jsonb": models.JSONField,
    "timestamp with time zone": models.DateTimeField,
    "double precision": models.FloatField,
}


class OfTheStore(models.Manager):
    def get_queryset(self) -> Any:
        return super().get_queryset().filter(store_id=STORE)


def _field(kind: str) -> models.Field[Any, Any]:
    if kind == "numeric":
        return models.DecimalField(max_digits=7, decimal_places=6, null=True)
    return KINDS[kind](null=True)


def _model(type_: str, **links: models.Field[Any, Any]) -> type[models.Model]:
    """A model of the columns that are read, their types as Postgres has them."""
    with connection.cursor() as cursor:
        cursor.execute("select column_name, data_type from information_schema.columns where table_name = %s", [type_])
        kinds = dict(cursor.fetchall())
    fields: dict[str, Any] = {name: _field(kinds[name]) for name in COLUMNS[type_] if name != "id"}
    fields |= {"id": models.TextField(primary_key=True), "store_id": models.BigIntegerField(), "objects": OfTheStore()}
    meta = type("Meta", (), {"managed": False, "db_table": type_, "app_label": "bench", "base_manager_name": "objects"})
    return type(type_.title(), (models.Model,), fields | links | {"Meta": meta, "__module__": __name__})


def _to(model: type[models.Model], name: str, back: str) -> Any:
    return models.ForeignKey(model, models.DO_NOTHING, db_column=name, related_name=back, null=True)


Customer, Address = _model("customers"), _model("addresses")
Order = _model(
    "orders",
    customer=_to(Customer, "customer_id", "+"),
    billing_address=_to(Address, "billing_address_id", "+"),
    shipping_address=_to(Address, "shipping_address_id", "+"),
)
LineItem = _model("line_items", order=_to(Order, "order_id", "line_items"))


def _serializer(type_: str, model_: type[models.Model], *related: str, **more: Any) -> Any:
    fields_ = [*(name for name in COLUMNS[type_] if name != "id"), *related]
    meta = type("Meta", (), {"model": model_, "fields": fields_, "resource_name": type_})
    return type(f"{model_.__name__}Serializer", (serializers.ModelSerializer,), more | {"Meta": meta})


Lines = _serializer("line_items", LineItem)
Customers, Addresses = _serializer("customers", Customer), _serializer("addresses", Address)
Orders = _serializer(
    "orders",
    Order,
    *("customer", "billing_address", "shipping_address"),
    included_serializers={
        "line_items": Lines,
        "customer": Customers,
        "billing_address": Addresses,
        "shipping_address": Addresses,
    },
)
OrdersWithLines = _serializer(
    "orders",
    Order,
    *("customer", "billing_address", "shipping_address", "line_items"),
    line_items=ResourceRelatedField(many=True, read_only=True),
    included_serializers=Orders.included_serializers,
)


class OrderView(views.ReadOnlyModelViewSet):
    resource_name = "orders"
    queryset = Order.objects.all()
    filterset_fields = ("customer_id",)
    ordering_fields = ("id",)
    select_for_includes: ClassVar = {
        "customer": ["customer"],
        "billing_address": ["billing_address"],
        "shipping_address": ["shipping_address"],
    }
    prefetch_for_includes: ClassVar = {"line_items": ["line_items"]}

    def get_serializer_class(self) -> Any:
        # Only where lines are asked for: their linkage needs a query of its own.
        return OrdersWithLines if "line_items" in self.request.query_params.get("include", "") else Orders


urlpatterns = [
    path("orders", OrderView.as_view({"get": "list"})),
    path("orders/<pk>", OrderView.as_view({"get": "retrieve"})),
]
application = get_wsgi_application()
