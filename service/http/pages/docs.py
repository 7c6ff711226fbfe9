"""The reference, openapi.yaml and the JSON Schemas, readable where the service runs: documents link to them."""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import orjson
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.contract import openapi
from service.errors import NotFound
from service.http.api.fixed import Fixed
from service.http.assets import CACHED, asset
from service.http.pages.pages import page
from service.jsonapi.links import JSON_SCHEMA
from service.resources import RESOURCES

PAGES = (
    "atomic-operations",
    "checkout",
    "cli",
    "conformance",
    "errors",
    "filtering",
    "http",
    "personal-data",
    "resources",
    "scopes",
    "settings",
    "webhooks",
)
"""The pages that are served, by their file's name."""

_ROOTS = (Path(__file__).parents[3], Path(sys.prefix) / "share" / "reprise")
"""Where openapi.yaml and docs/ are: in a checkout, and installed from a wheel."""


async def show(request: Request) -> Response:
    """GET /docs/{page}."""
    html = reference(request.path_params["page"])
    answer = page(request, "reference.html", {"text": Markup(html)})  # noqa: S704 -- our own files
    answer.headers.update(CACHED | {"Content-Language": "en"})
    return answer


async def contract(request: Request) -> Response:
    """GET /openapi.yaml."""
    return asset(request, _contract(), openapi.YAML)


async def contract_as_json(request: Request) -> Response:
    """GET /openapi.json."""
    return asset(request, _json_contract(), openapi.JSON)


async def contract_for_older_tools(request: Request) -> Response:
    """GET /openapi-3.0.json."""
    return asset(request, _older_contract(), openapi.JSON)


async def schema(request: Request) -> Response:
    """GET /api/schemas/{type}.json: what the documents about a type look like, or error documents."""
    return asset(request, _schema(request.path_params["type"]), JSON_SCHEMA)


@cache
def reference(name: str) -> str:
    """A page of the reference as HTML; headings have ids as GitHub gives them. Raises NotFound."""
    if name not in PAGES:
        raise NotFound("There is nothing at this URL.")
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(_file(f"docs/reference/{name}.md"))
    for token, text in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", text.content.lower().replace(" ", "-"))
    for token in [child for parent in tokens for child in parent.children or () if child.type == "link_open"]:
        token.attrSet("href", str(token.attrGet("href")).replace(".md", "", 1))
    html: str = markdown.renderer.render(tokens, markdown.options, {})
    return html


@cache
def _file(path: str) -> str:
    found = next((root / path for root in _ROOTS if (root / path).is_file()), None)
    if found is None:
        raise NotFound("There is nothing at this URL.")
    return found.read_text(encoding="utf-8")


@cache
def _contract() -> bytes:
    return _file("openapi.yaml").encode()


@cache
def _json_contract() -> bytes:
    return orjson.dumps(openapi.build(RESOURCES))


@cache
def _older_contract() -> bytes:
    return orjson.dumps(openapi.convert(openapi.build(RESOURCES)))


@lru_cache(maxsize=len(RESOURCES) + 1)
def _schema(name: str) -> bytes:
    found = openapi.json_schema(RESOURCES, name)
    if found is None:
        raise NotFound("There is nothing at this URL.")
    return orjson.dumps(found)


routes = [
    Route("/docs/{page}", show),
    Route("/openapi.yaml", contract),
    Route("/openapi.json", contract_as_json),
    Route("/openapi-3.0.json", contract_for_older_tools),
    Fixed("/api/schemas/{type}.json", schema),
]
