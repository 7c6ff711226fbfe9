"""fastapi-jsonapi over the store's tables, as its documentation shows it: models, schemas and views of its own.

Run by uvicorn as `app:app`. libpq's environment says where the database is, BENCH_COLUMNS which columns each type has.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar

from fastapi import Depends, FastAPI
from fastapi_jsonapi import ApplicationBuilder
from fastapi_jsonapi.misc.sqla.generics.base import ViewBaseGeneric
from fastapi_jsonapi.schema_base import BaseModel
from fastapi_jsonapi.types_metadata import RelationshipInfo
from fastapi_jsonapi.views import Operation, OperationConfig, ViewBase
from pydantic import ConfigDict, create_model
from sqlalchemy import MetaData, Table, and_, select
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import foreign, registry, relationship

COLUMNS: dict[str, list[str]] = json.loads(os.environ["BENCH_COLUMNS"])
STORE = int(os.environ["BENCH_STORE"])
# What relationships follow, beside the attributes.
KEYS = {
    "orders": ["customer_id", "billing_address_id", "shipping_address_id"],
    "line_items": ["order_id"],
    "customers": [],
    "addresses": [],
}

place = URL.create(
    "postgresql+asyncpg",
    username=os.environ["PGUSER"],
    database=os.environ["PGDATABASE"],
    query={"host": os.environ["PGHOST"], "port": os.environ["PGPORT"]},
)
engine = create_async_engine(place, pool_size=16)
sessions = async_sessionmaker(bind=engine, expire_on_commit=False)
mapped = registry()
models: dict[str, Any] = {}


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


class SessionDependency(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    session: AsyncSession = Depends(session)


def of_the_store(view: ViewBase, dto: SessionDependency) -> dict[str, Any]:
    """The session, and a query that stays in the store: all its keys begin with it."""
    return {"session": dto.session, "query": select(view.model).where(view.model.store_id == STORE)}


class View(ViewBaseGeneric):
    operation_dependencies: ClassVar = {
        Operation.ALL: OperationConfig(dependencies=SessionDependency, prepare_data_layer_kwargs=of_the_store)
    }


def make_models(connection: Connection) -> None:
    """Models of the columns that are read, their types as Postgres has them."""
    metadata = MetaData()
    for type_, columns in COLUMNS.items():
        kept = {"store_id", *columns, *KEYS[type_]}
        whole = Table(type_, metadata, autoload_with=connection, resolve_fks=False)
        table = Table(
            type_,
            mapped.metadata,
            *(column._copy() for column in whole.columns if column.name in kept),  # noqa: SLF001
        )
        models[type_] = type(type_, (), {"__table__": table})
        mapped.map_imperatively(models[type_], table)
    order, line, customer, address = (models[type_] for type_ in ("orders", "line_items", "customers", "addresses"))
    for name, other, key in (
        ("customer", customer, "customer_id"),
        ("billing_address", address, "billing_address_id"),
        ("shipping_address", address, "shipping_address_id"),
    ):
        joined = and_(order.store_id == other.store_id, foreign(getattr(order, key)) == other.id)
        order.__mapper__.add_property(name, relationship(other, primaryjoin=joined, viewonly=True, uselist=False))
    joined = and_(order.store_id == line.store_id, order.id == foreign(line.order_id))
    order.__mapper__.add_property("line_items", relationship(line, primaryjoin=joined, viewonly=True))


def make_schemas() -> dict[str, Any]:
    """Schemas of the attributes; that of orders knows its relationships."""
    base = type("Attributes", (BaseModel,), {"model_config": ConfigDict(from_attributes=True)})
    schemas: dict[str, Any] = {}
    for type_ in ("line_items", "customers", "addresses", "orders"):
        columns = models[type_].__table__.columns
        fields: dict[str, Any] = {
            name: (columns[name].type.python_type | None, None) for name in COLUMNS[type_] if name != "id"
        }
        if type_ == "orders":
            for name in ("customer", "billing_address", "shipping_address"):
                other = "customers" if name == "customer" else "addresses"
                fields[name] = (Annotated[schemas[other] | None, RelationshipInfo(resource_type=other)], None)
            many = RelationshipInfo(resource_type="line_items", many=True)
            line = schemas["line_items"]
            fields["line_items"] = (Annotated[list[line] | None, many], None)
            fields["customer_id"] = (str | None, None)  # to filter by
        schemas[type_] = create_model(f"{type_.title()}Schema", __base__=base, **fields)
    return schemas


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.connect() as connection:
        await connection.run_sync(make_models)
    builder = ApplicationBuilder(app)
    for type_, schema in make_schemas().items():
        builder.add_resource(
            path=f"/{type_}",
            tags=[type_],
            view=View,
            schema=schema,
            model=models[type_],
            resource_type=type_,
            operations=[Operation.GET, Operation.GET_LIST],
            ending_slash=False,
        )
    builder.initialize()
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
