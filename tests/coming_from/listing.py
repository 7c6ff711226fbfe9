"""Reads the names of another service's operations from what it publishes, and prints the list that is kept here.

    npm pack @shopify/dev-mcp
    python -m tests.coming_from.listing shopify shopify-dev-mcp-1.16.0.tgz > tests/coming_from/shopify.json

VTEX publishes no package: its list is read from the OpenAPI document in github.com/vtex/openapi-schemas, and the third
word is the commit that the document is of. Only names are kept, nothing else of what is read.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")
_GENERATED = "package/dist/declarations/src/generated"


@dataclass(frozen=True, slots=True)
class Package:
    """The files of a package of npm, by their paths."""

    files: Mapping[str, bytes]

    @classmethod
    def unpacked(cls, path: Path) -> Package:
        """What `npm pack` has written."""
        with tarfile.open(path) as archive:
            members = ((member.name, archive.extractfile(member)) for member in archive if member.isfile())
            return cls({name: file.read() for name, file in members if file is not None})

    @property
    def version(self) -> str:
        return str(json.loads(self.files["package/package.json"])["version"])

    def text(self, path: str) -> str:
        return self.files[path].decode()

    def under(self, folder: str) -> Iterator[str]:
        """The declarations in a folder."""
        yield from (self.text(path) for path in sorted(self.files) if path.startswith(folder) and path.endswith(".ts"))


def shopify(package: Package) -> tuple[str, list[str]]:
    """The queries and mutations of the newest release's schema whose names begin with `subscription`."""
    schemas = [path for path in package.files if re.search(r"/admin_\d{4}-\d\d\.json\.gz$", path)]
    newest = max(schemas)
    schema = json.loads(gzip.decompress(package.files[newest]))["data"]["__schema"]
    roots = [schema[root]["name"] for root in ("queryType", "mutationType")]
    names = [
        field["name"]
        for root in roots
        for type_ in schema["types"]
        if type_["name"] == root
        for field in type_["fields"]
        if field["name"].startswith("subscription")
    ]
    release = Path(newest).name.removesuffix(".json.gz").removeprefix("admin_")
    return f"queries and mutations of the Admin API {release} that begin with subscription", names


def recharge(package: Package) -> tuple[str, list[str]]:
    """Everything that the package exports to be called."""
    exported = re.findall(r"^export \{ (.*) \};$", package.text("package/dist/index.d.ts"), re.MULTILINE)
    return "what the package exports", exported[0].split(", ")


def commercetools(package: Package) -> tuple[str, list[str]]:
    """The requests to recurring orders and their policies, and every update action that names recurrence."""
    names = []
    for folder in ("recurring-orders", "recurrence-policies"):
        for text in package.under(f"{_GENERATED}/client/{folder}/"):
            builder = re.findall(r"class ByProjectKey(\w+?)RequestBuilder", text)[0]
            root, one = re.fullmatch(r"(RecurringOrders|RecurrencePolicies)(\w*)", builder).groups()  # type: ignore[union-attr]
            path = f"{root[0].lower()}{root[1:]}()" + {"": "", "ByID": ".withId()", "KeyByKey": ".withKey()"}[one]
            names += [f"{path}.{verb}()" for verb in re.findall(r"^    (get|head|post|delete)\(", text, re.MULTILINE)]
    for text in package.under(f"{_GENERATED}/models/"):
        actions = r"interface \w*Recurr\w*Action extends I(\w+)UpdateAction \{.*?readonly action: '(\w+)'"
        names += [f"{of}.{action}" for of, action in re.findall(actions, text, re.DOTALL)]
    return "requests to recurring orders and recurrence policies, and update actions that name recurrence", names


def vtex(document: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Every operation of the document."""
    paths = document["paths"].items()
    return "every operation", [f"{verb.upper()} {path}" for path, found in paths for verb in found if verb in _METHODS]


_PACKAGES: Mapping[str, tuple[str, Callable[[Package], tuple[str, list[str]]]]] = {
    "shopify": ("@shopify/dev-mcp", shopify),
    "recharge": ("@rechargeapps/storefront-client", recharge),
    "commercetools": ("@commercetools/platform-sdk", commercetools),
}


def listed(service: str, path: Path, commit: str = "") -> dict[str, Any]:
    """The list of a service's operations, with what it was read from."""
    if service == "vtex":
        document = json.loads(path.read_text())
        read, names = vtex(document)
        source = f"github.com/vtex/openapi-schemas, {path.name}"
        return {"source": source, "version": f"{document['info']['version']} at {commit}", "read": read, "names": names}
    name, reads = _PACKAGES[service]
    package = Package.unpacked(path)
    read, names = reads(package)
    return {"source": f"{name} of npm", "version": package.version, "read": read, "names": names}


if __name__ == "__main__":
    json.dump(listed(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]), sys.stdout, indent=2)
    sys.stdout.write("\n")
