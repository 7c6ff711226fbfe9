"""Others that the service asks: payment gateways and receivers of webhooks.

What takes the money of an order is known by the name that payment methods have for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.gateways.external import ExternalGateway
from service.gateways.manual import ManualGateway
from service.gateways.outbound import Limits
from service.gateways.port import Gateway
from service.gateways.testing import ANSWERS, TestGateway
from service.rules.outside import configured_reach
from service.settings import Settings

Gateways = Mapping[str, Gateway]
"""The gateways that a process asks, by their names."""

_KINDS: Mapping[str, type[Gateway]] = {"manual": ManualGateway, "test": TestGateway, "external": ExternalGateway}


def limits(settings: Settings, *, events: bool = False) -> Limits:
    """The settings' limits on how long others may take, and where they may be; those told of `events` may be nearer."""
    reach = configured_reach(settings)
    return Limits(
        settings.gateway_connect_timeout, settings.gateway_timeout, reach=reach if events else reach.of("live")
    )


def configured(settings: Settings) -> Gateways:
    """New gateways for a process, with the settings' limits on how long others may take and where they may be."""
    return {"manual": ManualGateway(), "test": TestGateway(), "external": ExternalGateway(limits(settings))}


def needs_source(gateway: str | None) -> bool:
    """Whether what is paid through a gateway has to name what it is paid with; False without one."""
    return gateway is not None and gateway in _KINDS and _KINDS[gateway].needs_source


def stands_for_an_answer(token: str) -> bool:
    """Whether a token is one of those that the test gateway answers in a certain way. They belong to nobody."""
    return token in ANSWERS


def asks_nobody(gateway: str) -> bool:
    """Whether a gateway says yes to everything, so that a run needn't wait for it. Raises KeyError for no gateway."""
    return _KINDS[gateway].asks_nobody


def usable(mode: str, *, external: bool = False) -> frozenset[str]:
    """The names of the gateways that a store in this mode, `test` or `live`, can take money through.

    `external`: whether it has told where its own is.
    """
    others = {"test"} if mode == "test" else set()
    return frozenset({"manual"} | others | ({"external"} if external else set()))
