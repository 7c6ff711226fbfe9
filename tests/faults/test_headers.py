"""Headers are read in one pass, whatever a client puts into them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from service.http import languages
from service.http.api import prefer
from service.http.proxies import hops_of
from service.jsonapi.headers import EntityTag, elements, entity_tags, parameters
from service.jsonapi.negotiation import media_ranges

_CHARACTERS = '"\\,;= \t/*Waq0'


def _preferred(value: str) -> object:
    return prefer.wanted(Request({"type": "http", "headers": [(b"prefer", value.encode("latin-1"))]}))


def _language(value: str) -> object:
    return languages.negotiate(Request({"type": "http", "headers": [(b"accept-language", value.encode("latin-1"))]}))


READERS: dict[str, Callable[[str], object]] = {
    "elements": lambda value: elements([value]),
    "parameters": parameters,
    "entity tags": lambda value: entity_tags([value]),
    "media ranges": media_ranges.__wrapped__,
    "forwarded": lambda value: hops_of([value]),
    "prefer": _preferred,
    "languages": _language,
}


def _seconds(read: Callable[[str], object], value: str) -> float:
    """The shortest of several times, which noise can only lengthen."""
    times = []
    for _ in range(3):
        began = time.process_time()
        read(value)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.rule("FM-120")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "piece",
    [
        " ",
        '"',
        "\\",
        ",",
        ";",
        "=",
        "a",
        '"\\',
        '\\"',
        '" ',
        ',"',
        ';"',
        ' ,"',
        "a=",
        ";q=",
        ',W/"',
        'W/"a" ',
        'a;b="',
        "/,",
        "\t;",
    ],
)
def test_a_header_of_eight_times_the_length_takes_some_eight_times_as_long(reader: str, piece: str) -> None:
    read = READERS[reader]
    for start in ("", '"x"', "a/b", '"'):
        short, long = (start + piece * amount for amount in (1_000 // len(piece), 8_000 // len(piece)))
        # A quadratic reader takes 64 times as long. The summand is what clocks can't see.
        assert _seconds(read, long) < 24 * _seconds(read, short) + 0.002, (reader, start, piece)


@given(st.text(st.sampled_from(_CHARACTERS), max_size=60))
def test_anything_can_be_read(value: str) -> None:
    for read in READERS.values():
        read(value)


_OPAQUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), max_size=12)


@given(st.lists(st.builds(EntityTag, _OPAQUE, st.booleans()), max_size=6), st.sampled_from([",", ", ", " ,\t", ",,"]))
def test_entity_tags_are_what_was_written(tags: list[EntityTag], comma: str) -> None:
    written = [f'{"W/" * tag.weak}"{tag.text}"' for tag in tags]
    assert entity_tags([comma.join(written)]) == tags
    assert entity_tags(written) == tags, "several lines are one list"


_WORD = st.text(st.sampled_from("abcXYZ019!-_"), min_size=1, max_size=8)
_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=10)


@given(st.lists(st.tuples(_WORD, st.lists(st.tuples(_WORD, _TEXT), max_size=3)), max_size=4))
def test_elements_and_parameters_are_what_was_written(sent: list[tuple[str, list[tuple[str, str]]]]) -> None:
    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    line = " , ".join("; ".join([first, *(f"{name}={quoted(text)}" for name, text in pairs)]) for first, pairs in sent)
    assert [parameters(element) for element in elements([line])] == [
        (first, tuple((name.lower(), text) for name, text in pairs)) for first, pairs in sent
    ]
