"""`make new`: with three edits and this command a type that customers write is a whole one, for the tests too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import new, samples
from tests.processes import ROOT

TYPE = "gift_messages"

CLASS = '''

class GiftMessage(Standard):
    """What a card in the parcel says to the one who receives it."""

    text = Text(write=Write.BOTH, required=True, personal=Personal.WORDS, doc="The words on the card.")

    customer = ToOne("customers", write=Write.CREATE, doc="Whose words they are.")
    orders = ToMany("orders", via="gift_message_id", includable=False, doc="The orders that it goes with.")

    class Meta:
        type_ = "gift_messages"
        owner = "customer"
'''

OF_ORDERS = """\
    gift_message = ToOne("gift_messages", write=Write.BOTH, doc="What the card in the parcel says.")
"""

MIGRATION = """\
-- migrate:up

-- What a card in the parcel says to the one who receives it.
create table gift_messages (
    store_id bigint not null,
    id text collate "C" not null,
    text text not null,
    customer_id text collate "C",
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint gift_messages_have_unique_ids primary key (store_id, id),
    constraint gift_messages_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint gift_messages_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id)
);

create index gift_messages_by_customer_id on gift_messages (store_id, customer_id, id);
create index gift_messages_by_created_at on gift_messages (store_id, created_at, id);
create index gift_messages_by_updated_at on gift_messages (store_id, updated_at, id);
create index gift_messages_by_reference on gift_messages (store_id, reference, id);
create index gift_messages_by_reference_origin on gift_messages (store_id, reference_origin, id);

alter table orders add column gift_message_id text collate "C";
alter table orders add constraint orders_have_a_known_gift_message
foreign key (store_id, gift_message_id) references gift_messages (store_id, id);
create index orders_by_gift_message_id on orders (store_id, gift_message_id, id) where gift_message_id is not null;
"""

TESTED = (
    "tests/spec/test_creating.py::test_each_type",
    "tests/contract/test_answers.py",
    "tests/database/test_parity.py",
    "tests/spec/test_deleting.py",
    "tests/spec/test_updating.py",
)
"""Tests that try every type."""


def insert_before(path: Path, anchor: str, text: str) -> None:
    """Put text before the only place where a file says this."""
    before, after = path.read_text().split(anchor)
    path.write_text(before + text + anchor + after)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this repository, with an environment that is never made anew."""
    generated = shutil.ignore_patterns(".*", "build", "dist", "node_modules", "__pycache__", "*.egg-info")
    copy = Path(shutil.copytree(ROOT, tmp_path / "checkout", ignore=generated))
    (copy / ".venv").symlink_to(Path(sys.prefix))
    for made_from in ("requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        os.utime(copy / made_from, (0, 0))
    return copy


@pytest.mark.timeout(600)  # records the examples of the whole contract, and runs some hundred tests
def test_three_edits_and_the_command_make_a_whole_type(checkout: Path) -> None:
    def run(*command: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MAKE"))}
        done = subprocess.run(
            command, cwd=checkout, env=environment | {"PYTHONPATH": str(checkout)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    orders = checkout / "schemas" / "orders.py"
    insert_before(orders, '    tags = ToMany("tags", through=Through("order_tags"', OF_ORDERS)
    orders.write_text(orders.read_text() + CLASS)
    (checkout / "sql" / "migrations" / "9999_gift_messages.sql").write_text(MIGRATION)
    line = f'        _line("{TYPE}", "orders", writer=GENERIC),\n'
    insert_before(checkout / "service" / "resources.py", '        _line("order_factories", "orders"),\n', line)

    assert f"Wrote tests/samples/{TYPE}.yaml" in run("make", "new", f"TYPE={TYPE}")
    assert "POST /api/gift_messages" in (checkout / "service" / "contract" / "examples.json").read_text()
    assert "GiftMessageCreate" in (checkout / "openapi.yaml").read_text()
    tested = run(sys.executable, "-m", "pytest", "-q", *TESTED, "-k", f"{TYPE} or test_each_type")
    assert " passed" in tested


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        ("", "make new TYPE=gift_messages"),
        ("adresses", "Did you mean addresses?"),
        ("customer-groups", "Did you mean customer_groups?"),
        ("zzz", "schemas/ declares no type zzz. See docs/how-to/add-a-resource-type.md"),
    ],
)
def test_what_is_no_type(type_: str, said: str) -> None:
    with pytest.raises(SystemExit) as refused:
        new.write(type_)
    assert said in str(refused.value)


def test_what_there_is_stays() -> None:
    kept = samples.path("skus").read_text()
    assert "is there already" in new.write("skus")
    assert samples.path("skus").read_text() == kept


def test_types_that_are_only_read_need_nothing() -> None:
    assert "Clients only read markets" in new.write("markets")
    assert not samples.path("markets").exists()
