"""The short form of `make contract`: what the contract itself gives as examples, with each kind of token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service import errors
from service.errors import ApiError
from tests.contract.generated.running import OF_LINKS, Shop, ask, demo_shop

REASONS_FILE = Path(__file__).with_name("hooks.py")


@pytest.fixture(scope="module")
def shop(run_folder: Path, worker_id: str) -> Iterator[Shop]:
    with demo_shop(run_folder / f"contract-{worker_id}") as opened:
        yield opened


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "options", "least"),
    [("link", OF_LINKS, 50), ("integration", ("--phases", "examples"), 1000)],
)
def test_no_finding(shop: Shop, kind: str, options: tuple[str, ...], least: int) -> None:
    report = ask(shop, kind, *options)
    assert report.good, report.text[-20_000:]
    assert report.cases >= least


def test_reasons_are_about_codes_that_there_are() -> None:
    codes = {found.code for found in vars(errors).values() if isinstance(found, type) and issubclass(found, ApiError)}
    told = REASONS_FILE.read_text().partition("REASONS = {")[2].partition("}")[0]
    named = {line.split('"')[1] for line in told.splitlines() if '"' in line}
    assert named <= codes
