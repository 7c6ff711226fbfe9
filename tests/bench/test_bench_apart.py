"""The short form of `python -m tests.bench.apart`, on two databases of one server."""

from __future__ import annotations

import pytest

from tests.bench.apart import main


@pytest.mark.timeout(200)
def test_operations_are_done_by_turns_on_both(own_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([own_url, "--orders", "30", "--together", "--only", "read one order", "--only", "add to cart"])
    head, _, *rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert head == ["operation", "one server, ms", "cluster, ms", "ratio"]
    assert [row[0] for row in rows] == ["read one order", "add to cart"]
    for _, one, several, ratio in rows:
        assert float(several) / float(one) == pytest.approx(float(ratio), abs=0.2)
