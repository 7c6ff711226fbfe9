"""Idempotency-Key: an unsafe request takes effect once, however often it is sent (draft-ietf-httpapi-idempotency-key).

The answer is kept in the transaction of its effect, so there is never one without the other: a client that lost the
answer, to a crash or to the network, asks again with the same key and gets it. A key belongs to a customer, or to an
integration's token, and to one request: its method, path, query and body.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from service import clock
from service.errors import InProgress, InvalidHeader, KeyReused
from service.http.state import Service, service_of
from service.jsonapi.abridging import abridged
from service.jsonapi.negotiation import MEDIA_TYPE
from service.operations.events import outbox
from service.operations.generic.phases import Interlude, Work
from service.principal import Principal
from service.store import idempotency
from service.store.idempotency import Kept, Key
from service.store.pool import Connection

HEADER = "Idempotency-Key"

MOST_KEPT = 256 * 1_024
"""Bytes of a document that is kept whole. Others than JSON:API's tell of the lines of one order, which are bounded."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_OF_ONE_ANSWER = ("content-length", "date", "x-request-id", "server-timing")


async def once(request: Request, principal: Principal, work: Work[Response]) -> Response:
    """The answer of `work`, or the one that was kept under the request's key.

    The key is held in each transaction of the work; in between, the same request may look how far it is. Only success
    is kept; an error rolls its transaction back, and the key is free again. Raises InvalidHeader for what is no key,
    InProgress while another request holds it, KeyReused where it was used for another request, Contended when others
    were in the way every time.
    """
    text, service = key_of(request), service_of(request)
    if text is None:
        return await service.run(work)
    return await once_under(service, principal, text, await _fingerprint(request), work)


async def once_under(
    service: Service, principal: Principal, text: str, fingerprint: bytes, work: Work[Response]
) -> Response:
    """The answer of `work`, or the one that was kept under a key; `fingerprint` tells what else the key was used for.

    Raises as `once`.
    """
    key = Key(principal.store.id, outbox.actor(principal), text)

    async def begin(connection: Connection) -> Response | Interlude[Response]:
        if not await idempotency.hold(connection, key):
            raise InProgress(
                "A request with this key is being processed; retry in a moment.",
                header=HEADER,
                headers={"Retry-After": "1"},
            )
        return await under_key(connection, work)

    async def go_on(connection: Connection, rest: Work[Response]) -> Response | Interlude[Response]:
        # What was begun is finished, so this one waits for whoever looks how far it is.
        await idempotency.wait(connection, key)
        return await under_key(connection, rest)

    async def under_key(connection: Connection, rest: Work[Response]) -> Response | Interlude[Response]:
        at = clock.now()
        kept = await idempotency.find(connection, key, at)
        if kept is not None:
            return _again(kept, fingerprint)
        answer = await rest(connection)
        if isinstance(answer, Interlude):
            return answer.around(go_on)
        if 200 <= answer.status_code < 300:
            await idempotency.keep(connection, key, _kept(answer, fingerprint), at)
        return answer

    return await service.run(begin)


def _again(kept: Kept, fingerprint: bytes) -> Response:
    """A kept answer, given again. Raises KeyReused when it is that to another request."""
    if kept.fingerprint != fingerprint:
        raise KeyReused("This key was used for another request; use a new one.", header=HEADER)
    answer = Response(kept.body, kept.status, kept.headers)
    answer.headers["Idempotency-Replayed"] = "true"
    return answer


def key_of(request: Request) -> str | None:
    """The key of a request, with or without the quotes of a structured field. Raises InvalidHeader."""
    sent = request.headers.getlist(HEADER)
    if not sent:
        return None
    text = sent[0].strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(sent) > 1 or not _KEY.fullmatch(text):
        raise InvalidHeader(
            "An idempotency key is one value of 1 to 255 visible ASCII characters without spaces.", header=HEADER
        )
    return text


async def _fingerprint(request: Request) -> bytes:
    """What makes a request the same one: method, path, query and body."""
    scope = request.scope
    return digest(scope["method"].encode(), scope["path"].encode(), scope["query_string"], await request.body())


def digest(*parts: bytes) -> bytes:
    """What tells apart what a key was used for."""
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def _kept(answer: Response, fingerprint: bytes) -> Kept:
    """What is kept of an answer: not its secrets, no header that only this one answer has, of a large one the gist."""
    lasting: Response = getattr(answer, "kept", answer)
    headers: Mapping[str, str] = {name: value for name, value in lasting.headers.items() if name not in _OF_ONE_ANSWER}
    body = bytes(lasting.body)
    if len(body) > MOST_KEPT and headers.get("content-type", "").startswith(MEDIA_TYPE):
        body = abridged(body)
    return Kept(fingerprint, lasting.status_code, headers, body)
