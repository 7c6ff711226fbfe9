"""The files under sql/: their format, and the rules that every statement keeps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sql
from service.errors import StartupError

FILES = sorted(sql.FOLDER.rglob("*.sql"))


def written(folder: Path, text: str, name: str = "orders.sql") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def code_of(path: Path) -> str:
    """The SQL of a file without its comments."""
    return re.sub(r"--[^\n]*", "", path.read_text())


def test_statements_have_a_name_prose_and_one_text(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "-- About orders.\n\n"
        "-- name: order_by_code\n-- An order\n-- by its code.\nselect ';' as a -- ; \nfrom orders;\n\n"
        "-- name: order_count\n-- All of them.\nselect count(*) from orders\n",
    )
    by_code, count = sql.read_statements(path, "orders/some")
    text, counted = "select ';' as a -- ; \nfrom orders", "select count(*) from orders"
    assert by_code == sql.Statement("order_by_code", "orders/some", "An order by its code.", text, text, ())
    assert count == sql.Statement("order_count", "orders/some", "All of them.", counted, counted, ())
    assert count.path == "orders/some.order_count"


def test_a_statement_may_hold_another_one(tmp_path: Path) -> None:
    text = "with gone as (select include('runtime/workers.leave')) select :name from b where a = :id"
    (found,) = sql.read_statements(written(tmp_path, f"-- name: a\n-- Prose.\n{text};\n"))
    assert found.text == "with gone as (delete from workers\nwhere id = $1) select $2 from b where a = $1"
    assert found.parameters == ("id", "name")


def test_a_statement_may_say_what_stands_for_the_parameters_of_one_that_it_holds(tmp_path: Path) -> None:
    below = "-- name: below\n-- Prose.\nselect a from b where a = any(:ids::text[]) and c = :at and d = :ids[1];\n"
    above = (
        "-- name: above\n-- Prose.\n"
        "with ids as (select include('some.below', ids => array(select f(:at, x) from y), at => :then)) select 1;"
    )
    _, found = sql.read_statements(written(tmp_path, below + above), "some")
    ids = "(array(select f($1, x) from y))"
    text = f"select a from b where a = any({ids}::text[]) and c = ($2) and d = {ids}[1]"
    assert found.text == f"with ids as ({text}) select 1"
    assert found.parameters == ("at", "then")


def test_what_a_statement_holds_has_to_be_there(tmp_path: Path) -> None:
    path = written(tmp_path, "-- name: a\n-- Prose.\nselect include('runtime/workers.unheard_of');")
    with pytest.raises(StartupError, match="no statement named unheard_of"):
        sql.read_statements(path)
    path = written(tmp_path, "-- name: a\n-- Prose.\nselect include('runtime/workers.leave', id => f(1;")
    with pytest.raises(StartupError, match="has no end"):
        sql.read_statements(path)


@pytest.mark.parametrize(
    ("text", "numbered", "parameters"),
    [
        ("select :a::text, b::text = any(:a::text[])", "select $1::text, b::text = any($1::text[])", ["a"]),
        ("select ':a', E'\\':a', \":a\", $$:a$$, $x$ :a $x$", None, []),
        ("select 1 -- :a\n + /* :a */ 2", None, []),
        ("select f(a := 1, b => 2)", None, []),
        ("select a[1:n], a[:n], a[n:m], a[b[1]:n], a[f(1):n]", None, []),
        ("select a[(:a)], a[1:(:b)], array[:a, :b]", "select a[($1)], a[1:($2)], array[$1, $2]", ["a", "b"]),
    ],
)
def test_named_parameters_are_numbered(tmp_path: Path, text: str, numbered: str | None, parameters: list[str]) -> None:
    (found,) = sql.read_statements(written(tmp_path, f"-- name: a\n-- Prose.\n{text};\n"))
    assert found.text == (numbered or text)
    assert list(found.parameters) == parameters


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-- name: a\n-- Prose.\nselect 1;\n-- name: a\n-- Prose.\nselect 2;", "two statements named a"),
        ("-- name: a\nselect 1;", "a needs a line of prose"),
        ("-- name: a\n--\nselect 1;", "a needs a line of prose"),
        ("-- name: a\n-- Prose.\n", "a must be exactly one statement"),
        ("-- name: a\n-- Prose.\nselect 1; select 2;", "a must be exactly one statement"),
        ("-- name: A-b\n-- Prose.\nselect 1;", "'A-b' is no name"),
        ("select 1;\n-- name: a\n-- Prose.\nselect 1;", "above the first"),
        ("-- name: a\n-- Prose.\nselect :a, $2;", "a has numbered parameters"),
        ("-- name: a\n-- Prose.\nselect $1;", "a has numbered parameters"),
    ],
)
def test_a_malformed_file_is_named_with_its_statement(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(StartupError, match=re.escape(reason)) as caught:
        sql.read_statements(path)
    assert str(path) in str(caught.value)


def test_a_missing_topic_is_named() -> None:
    with pytest.raises(StartupError, match=r"unheard_of\.sql is missing"):
        sql.statements("unheard_of")


def test_migrations_come_in_order_with_what_is_run(tmp_path: Path) -> None:
    written(tmp_path, "-- migrate:up transaction:false\nselect 2;\n-- migrate:down\nselect 3;\n", "0002_b.sql")
    written(tmp_path, "-- Why.\n-- migrate:up\nselect 1;\n", "0001_a.sql")
    first, second = sql.migrations(tmp_path)
    assert first == ("0001", "0001_a", "\nselect 1;\n", True)
    assert second == ("0002", "0002_b", "\nselect 2;\n", False)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("0001_a.sql", "select 1;", "needs a line `-- migrate:up`"),
        ("0001_a.sql", "select 1;\n-- migrate:up\nselect 2;", "above `-- migrate:up`"),
        ("0001_a.sql", "-- migrate:up transaction:maybe\nselect 1;", "knows one option"),
        ("first.sql", "-- migrate:up\nselect 1;", "the name of a migration"),
    ],
)
def test_a_migration_that_cannot_be_run_is_named(tmp_path: Path, name: str, text: str, reason: str) -> None:
    path = written(tmp_path, text, name)
    with pytest.raises(StartupError, match=re.escape(reason)) as caught:
        sql.migrations(tmp_path)
    assert str(path) in str(caught.value)


def test_two_migrations_of_one_version_are_refused(tmp_path: Path) -> None:
    for name in ("0001_a.sql", "0001_b.sql"):
        written(tmp_path, "-- migrate:up\nselect 1;", name)
    with pytest.raises(StartupError, match="0001_a has the same version"):
        sql.migrations(tmp_path)


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        (" ;; -- nothing;\n/* ; */ ", []),
        ("select 1; select 2", ["select 1", "select 2"]),
        ("select 'it''s; one'", ["select 'it''s; one'"]),
        (r"select E'\';'; select 2", [r"select E'\';'", "select 2"]),
        ('select ";" from a; select 2', ['select ";" from a', "select 2"]),
        ("select $$;$$, $a$ $$;$$ $a$; select $1", ["select $$;$$, $a$ $$;$$ $a$", "select $1"]),
        ("select 1 /* ; ' */ + 1 -- ; \n; select 2", ["select 1 /* ; ' */ + 1 -- ;", "select 2"]),
    ],
)
def test_a_text_is_split_into_its_statements(text: str, statements: list[str]) -> None:
    assert list(sql.split(text)) == statements


def test_our_own_files_are_well_formed() -> None:
    assert len(sql.topics()) == sum(path.parent.parent.name == "queries" for path in FILES) > 0
    assert all(sql.statements(topic) for topic in sql.topics())
    assert sql.checks()
    assert [migration.version for migration in sql.migrations()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_statement_reads_a_clock(path: Path) -> None:
    clocks = r"\b(now\s*\(|(current|local)_?(time|date|timestamp)\b|(clock|statement|transaction)_timestamp\b)"
    assert not re.search(clocks, code_of(path), re.IGNORECASE)


@pytest.mark.parametrize("statement", ["select now()", "select current_timestamp", "select LOCALTIME"])
def test_the_rule_about_clocks_can_fail(tmp_path: Path, statement: str) -> None:
    with pytest.raises(AssertionError):
        test_no_statement_reads_a_clock(written(tmp_path, statement))
