"""Alert rules and the dashboard: they parse, fire when they should, and name what served processes tell."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import prometheus_client
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from service.jobs import metrics as _  # noqa: F401 -- registers what workers count
from service.store.pool import connect
from tests import roles
from tests.chaos import world
from tests.docs.test_metrics import STREAM
from tests.processes import ROOT, api_settings, serving

FOLDER = ROOT / "docs" / "deploy"
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
RUNBOOK = (ROOT / "docs" / "how-to" / "answer-alerts.md").read_text()
OURS = {"le", "instance"}
"""Labels of buckets, and of what Prometheus itself says where a sample is from."""


def dashboard() -> Iterator[str]:
    """The expressions of the dashboard."""
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


EXPRESSIONS = [*(rule["expr"] for rule in RULES), *dashboard()]


def promtool(*arguments: str) -> None:
    """Run it. Fails with what it says, and skips where it is not installed."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: make deploy-tools")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_fires_when_it_should(tmp_path: Path) -> None:
    for path in (FOLDER / "alerts.yaml", Path(__file__).with_name("alerts.test.yaml")):
        shutil.copy(path, tmp_path)
    promtool("check", "rules", str(tmp_path / "alerts.yaml"))
    promtool("test", "rules", str(tmp_path / "alerts.test.yaml"))
    tests = yaml.safe_load((tmp_path / "alerts.test.yaml").read_text())["tests"]
    fired = {test["alertname"] for group in tests for test in group["alert_rule_test"] if test.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in RULES}


def test_each_expression_of_the_dashboard_is_one(tmp_path: Path) -> None:
    recorded = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(dashboard())]
    rules = tmp_path / "dashboard.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    promtool("check", "rules", str(rules))


def test_the_dashboard_can_be_imported() -> None:
    board = json.loads((FOLDER / "dashboard.json").read_text())
    assert {"title", "uid", "schemaVersion", "panels", "templating"} <= board.keys()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    (source,) = board["templating"]["list"]
    for panel in board["panels"]:
        assert {"type", "title", "gridPos"} <= panel.keys()
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == f"${{{source['name']}}}"
            assert panel["targets"]


def test_each_alert_has_its_section_in_the_runbook() -> None:
    headings = re.findall(r"^## (Reprise\w+)$", RUNBOOK, re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]


async def test_every_metric_and_label_exists_where_processes_are_served(own_url: str) -> None:
    async with connect(own_url) as connection:
        await world.build(connection, store_count=1, subscriptions=4)
    environment = api_settings(own_url)
    told = ""
    with serving("serve", "--port", "0", "--metrics-port", "0", until="metrics are at", **environment) as api:
        working = roles.of("worker", environment)
        with serving("work", "--metrics-port", "0", until="metrics are at", **working) as worker:
            async with httpx2.AsyncClient(timeout=30) as client:
                assert (await client.get(f"{api.url}/api/orders")).status_code == 401
                async with connect(own_url) as connection:
                    deadline = time.monotonic() + 60
                    while await world.left(connection):
                        assert time.monotonic() < deadline
                        await asyncio.sleep(0.2)
                for said in (api.said, worker.said):
                    (url,) = re.findall(r"(http://\S+/metrics)", said)
                    told += (await client.get(url)).text
    families = {family.name: family for family in text_string_to_metric_families(told)}
    for expression in EXPRESSIONS:
        for name, matched in re.findall(r"\b(reprise_[a-z_]+)(?:\{([^}]*)\})?", expression):
            family = re.sub(r"_(?:total|bucket|count|sum)$", "", name)
            if family in STREAM:
                continue
            assert family in families, name
            known = {label for sample in families[family].samples for label in sample.labels} | OURS
            known |= declared(family)
            named = set(re.findall(r"(\w+)\s*[=!]", matched))
            if len(re.findall("reprise_", expression)) == 1:
                named |= {word for by in re.findall(r"by \(([^)]*)\)", expression) for word in re.findall(r"\w+", by)}
            assert named <= known, (expression, named - known)
    values = {sample.labels["state"] for sample in families["reprise_backlog"].samples}
    for state in re.findall(r'state="(\w+)"', " ".join(EXPRESSIONS)):
        assert state in values


def declared(family: str) -> set[str]:
    """The labels that a metric of workers is declared with: a counter has no samples before the first."""
    for collector in prometheus_client.REGISTRY._collector_to_names:  # noqa: SLF001 -- nothing public tells
        if getattr(collector, "_name", None) == family:
            return set(getattr(collector, "_labelnames", ()))
    return set()
