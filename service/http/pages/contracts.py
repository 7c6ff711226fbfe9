"""openapi.yaml, asyncapi.yaml and the JSON Schemas, readable where the service runs: documents link to them."""

from __future__ import annotations

from functools import cache, lru_cache

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.contract import asyncapi, openapi
from service.errors import NotFound
from service.http.api.fixed import Fixed
from service.http.assets import asset
from service.jsonapi.links import JSON_SCHEMA
from service.manual import files
from service.resources import RESOURCES


async def contract(request: Request) -> Response:
    """GET /openapi.yaml."""
    return asset(request, _contract(), openapi.YAML)


async def contract_as_json(request: Request) -> Response:
    """GET /openapi.json."""
    return asset(request, _json_contract(), openapi.JSON)


async def contract_for_older_tools(request: Request) -> Response:
    """GET /openapi-3.0.json."""
    return asset(request, _older_contract(), openapi.JSON)


async def told(request: Request) -> Response:
    """GET /asyncapi.yaml."""
    return asset(request, _told(), openapi.YAML)


async def told_as_json(request: Request) -> Response:
    """GET /asyncapi.json."""
    return asset(request, _json_told(), openapi.JSON)


async def schema(request: Request) -> Response:
    """GET /api/schemas/{type}.json: what the documents about a type look like, or error documents."""
    return asset(request, _schema(request.path_params["type"]), JSON_SCHEMA)


@cache
def _contract() -> bytes:
    return (files.root() / "openapi.yaml").read_bytes()


@cache
def _json_contract() -> bytes:
    return orjson.dumps(openapi.build(RESOURCES))


@cache
def _older_contract() -> bytes:
    return orjson.dumps(openapi.convert(openapi.build(RESOURCES)))


@cache
def _told() -> bytes:
    return (files.root() / "asyncapi.yaml").read_bytes()


@cache
def _json_told() -> bytes:
    return orjson.dumps(asyncapi.build(RESOURCES))


@lru_cache(maxsize=len(RESOURCES) + 1)
def _schema(name: str) -> bytes:
    found = openapi.json_schema(RESOURCES, name)
    if found is None:
        raise NotFound("There is nothing at this URL.")
    return orjson.dumps(found)


routes = [
    Route("/openapi.yaml", contract),
    Route("/openapi.json", contract_as_json),
    Route("/openapi-3.0.json", contract_for_older_tools),
    Route("/asyncapi.yaml", told),
    Route("/asyncapi.json", told_as_json),
    Fixed("/api/schemas/{type}.json", schema),
]
