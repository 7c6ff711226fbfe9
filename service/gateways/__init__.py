"""Payment gateways: what takes the money of an order. Each is known by the name that payment methods have for it."""

from __future__ import annotations

from collections.abc import Mapping

from service.gateways.manual import ManualGateway
from service.gateways.port import Gateway
from service.gateways.testing import TestGateway

GATEWAYS: Mapping[str, Gateway] = {"manual": ManualGateway(), "test": TestGateway()}


def usable(mode: str) -> frozenset[str]:
    """The names of the gateways that a store in this mode, `test` or `live`, can take money through."""
    return frozenset(GATEWAYS) if mode == "test" else frozenset(GATEWAYS) - {"test"}
