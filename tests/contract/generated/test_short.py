"""The short form of `make contract`: the contract's own examples with each kind of credential, and a few chains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service import errors
from service.errors import ApiError
from tests.contract.generated.reasons import REASONS
from tests.contract.generated.running import OF_LINKS, Shop, ask, demo_shop, of_guests

EXAMPLES = ("--phases", "examples")
CHAINS = ("--phases", "stateful", "--max-examples", "3", "--seed", "1")


@pytest.fixture(scope="module")
def shop(run_folder: Path, worker_id: str) -> Iterator[Shop]:
    with demo_shop(run_folder / f"contract-{worker_id}") as opened:
        yield opened


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "options", "least"),
    [
        ("link", OF_LINKS, 50),
        ("guest", EXAMPLES, 100),
        ("customer", EXAMPLES, 800),
        ("integration", EXAMPLES, 1000),
        ("integration", CHAINS, 10),
    ],
)
def test_no_finding(shop: Shop, kind: str, options: tuple[str, ...], least: int) -> None:
    report = ask(shop, kind, *options, *(of_guests(shop) if kind == "guest" else ()))
    assert report.good, report.text[-20_000:]
    assert report.cases >= least


def test_reasons_are_about_codes_that_there_are() -> None:
    codes = {found.code for found in vars(errors).values() if isinstance(found, type) and issubclass(found, ApiError)}
    assert {reason for reason in REASONS if " " not in reason} <= codes
