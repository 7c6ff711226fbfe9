"""What speaks the protocol: its Python SDK, without sessions, each request by itself.

The SDK takes some 30 MB and half a second to load, so `endpoint` loads this module when the first assistant comes.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

import structlog
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as Listed
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from service.errors import ApiError
from service.http import languages, limits
from service.http.agents.calls import Call, Tool
from service.http.agents.tools import TOOLS
from service.http.api import idempotency
from service.http.exchange import exchange_of
from service.http.problems import problem_of
from service.http.state import service_of
from service.jsonapi.nearness import nearest
from service.principal import Principal
from service.store.pool import Connection
from service.texts import say

INSTRUCTIONS = (
    "You act for one customer of a shop. To buy something again: list_past_orders, preview_reorder, show the customer"
    " what it comes to, then reorder with the preview's digest, and give the customer the checkout_url to pay."
    " For subscriptions: list_subscriptions, show_subscription and list_upcoming_deliveries say what there is."
    " A single delivery can be skipped, moved, put off, or bring something else once; a swap, another quantity or"
    " another interval is previewed first and then done with the preview's digest. No tool orders what is paid for at"
    " once, or pays: confirmation_link makes a page for the customer to do so."
)

Context = ServerRequestContext[Any, Request]

log = structlog.get_logger(part="agents")


def manager() -> StreamableHTTPSessionManager:
    """Return what answers requests of the protocol while its `run()` is entered."""
    logging.getLogger("mcp").setLevel(logging.WARNING)  # each request of the protocol is one of ours, which is logged
    server: Server[Any] = Server(
        "reprise",
        title="Reprise",
        version=version("reprise"),
        instructions=INSTRUCTIONS,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        get_tool_input_schema=_SCHEMAS.get,
    )
    return StreamableHTTPSessionManager(server, json_response=True, stateless=True)


_LISTED = [
    Listed(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.takes.model_json_schema(),
        output_schema=tool.answers.model_json_schema(),
        annotations=ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.reads,
            destructive_hint=tool.destroys,
            idempotent_hint=tool.settles,
            open_world_hint=False,
        ),
    )
    for tool in TOOLS.values()
]
_SCHEMAS = {tool.name: tool.input_schema for tool in _LISTED}


async def _list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=_LISTED)


async def _call_tool(context: Context, asked: CallToolRequestParams) -> CallToolResult:
    """Answer a call. What goes wrong is told in the result, where the assistant sees it and can do better."""
    request = context.request
    assert request is not None  # noqa: S101 -- this server is only ever asked over HTTP
    principal = exchange_of(request).principal
    assert principal is not None  # noqa: S101 -- the endpoint has asked
    locale = languages.negotiate(request, principal.store.locale)
    tool = TOOLS.get(asked.name)
    if tool is None:
        near = nearest(asked.name, TOOLS)
        raise MCPError(
            INVALID_PARAMS, f"Unknown tool: {asked.name[:100]}" + (f". Did you mean {near}?" if near else "")
        )
    try:
        text = await _run(request, principal, tool, asked.arguments or {}, locale=locale)
    except ValidationError as error:
        return _refused([_told(problem["loc"], problem["msg"]) for problem in error.errors(include_url=False)])
    except Exception as error:
        problem = problem_of(request, error)
        if problem is not error and problem.http_status == ApiError.status:
            log.exception("accident", request_id=exchange_of(request).request_id, tool=tool.name)
        return _refused([_sentence(one, locale) for one in problem.problems])
    return CallToolResult(content=[TextContent(text=text)], structured_content=from_json(text))


async def _run(
    request: Request, principal: Principal, tool: Tool[Any], arguments: dict[str, Any], *, locale: str
) -> str:
    """Do what a tool does, and return its answer as JSON. Raises ValidationError, ApiError subclasses."""
    service = service_of(request)
    for scope in tool.scopes:
        principal.require(scope)
    if tool.limit is not None:
        await limits.count(request, limits.of_class(request, tool.limit)(principal), principal)
    wanted = tool.takes.model_validate(arguments)

    async def work(connection: Connection) -> Response:
        answer = await tool.run(Call(request, connection, principal, locale), wanted)
        return Response(answer.model_dump_json())

    if tool.reads:
        async with service.database.connection() as connection:
            answer = await work(connection)
    elif wanted.idempotency_key is None:
        answer = await service.run(work)
    else:
        asked = idempotency.digest(b"mcp", tool.name.encode(), wanted.model_dump_json().encode())
        answer = await idempotency.once_under(service, principal, wanted.idempotency_key, asked, work)
    return bytes(answer.body).decode()


def _refused(sentences: list[str]) -> CallToolResult:
    return CallToolResult(content=[TextContent(text="\n".join(sentences))], is_error=True)


def _told(place: tuple[int | str, ...], message: str) -> str:
    where = ".".join(map(str, place))
    return f"{where}: {message}" if where else message


def _sentence(problem: ApiError, locale: str) -> str:
    """A problem in the reader's language, with its code and what it says beside."""
    beside = "".join(f" {name}: {value}." for name, value in (problem.meta or {}).items())
    return f"{say(problem.detail, locale)} ({problem.code}){beside}"
