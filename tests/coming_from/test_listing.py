"""Names are read out of what other services publish: out of packages and a document that are made up in their forms."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.coming_from.listing import listed

GENERATED = "dist/declarations/src/generated"


def packed(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A package of npm as `npm pack` writes it."""
    path = folder / "made-up.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"package.json": b'{"version": "1.2.3"}', **files}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def schema(*mutations: str) -> bytes:
    roots = {"Query": ["shop", "subscriptionContract"], "Mutation": ["webhookSubscriptionCreate", *mutations]}
    types = [{"name": name, "fields": [{"name": field} for field in fields]} for name, fields in roots.items()]
    document = {"queryType": {"name": "Query"}, "mutationType": {"name": "Mutation"}, "types": types}
    return gzip.compress(json.dumps({"data": {"__schema": document}}).encode())


def test_shopify_of_the_newest_release(tmp_path: Path) -> None:
    files = {f"dist/data/admin_{of}.json.gz": schema(f"subscriptionOf{of[:4]}") for of in ("2031-01", "2030-10")}
    found = listed("shopify", packed(tmp_path, files | {"dist/data/admin_unstable.json.gz": b""}))
    assert (found["version"], found["names"]) == ("1.2.3", ["subscriptionContract", "subscriptionOf2031"])
    assert "2031-01" in found["read"]


def test_recharge_without_types(tmp_path: Path) -> None:
    declared = b"export { getCharge, skipCharge };\nexport type { Charge };\n"
    assert listed("recharge", packed(tmp_path, {"dist/index.d.ts": declared}))["names"] == ["getCharge", "skipCharge"]


def test_commercetools_requests_and_actions(tmp_path: Path) -> None:
    builder = (
        "export declare class ByProjectKeyRecurringOrders{}RequestBuilder {{\n    get(x: {{\n    withId(x: {{\n}}\n"
    )
    action = "export interface {}Action extends ICartUpdateAction {{\n    readonly action: '{}';\n}}\n"
    actions = action.format("CartSetRecurrence", "setRecurrence") + action.format("CartSetKey", "setKey")
    files = {f"{GENERATED}/client/recurring-orders/{one or 'all'}.d.ts": builder.format(one) for one in ("", "ByID")}
    files[f"{GENERATED}/models/cart.d.ts"] = actions
    package = packed(tmp_path, {name: text.encode() for name, text in files.items()})
    assert sorted(listed("commercetools", package)["names"]) == [
        "Cart.setRecurrence",
        "recurringOrders().get()",
        "recurringOrders().withId().get()",
    ]


def test_vtex_with_its_commit(tmp_path: Path) -> None:
    path = tmp_path / "VTEX.json"
    path.write_text(json.dumps({"info": {"version": "1.0"}, "paths": {"/a": {"get": {}, "parameters": []}}}))
    found = listed("vtex", path, "abc")
    assert (found["version"], found["names"]) == ("1.0 at abc", ["GET /a"])
