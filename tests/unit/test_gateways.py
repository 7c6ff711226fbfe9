"""Payment gateways: what is done with their answers, and with their silence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.gateways import port, usable
from service.gateways.port import Answer, NoAnswer, Payment, release, settle
from service.gateways.testing import DECLINES, LOSES_ITS_ANSWER, TIMES_OUT, TestGateway

PAYMENT = Payment("1/order/1", "EUR", 5495, "tok")
YES = Answer("authorized", "r1")


class Scripted:
    """A gateway that says what it is told to say, one thing after the other; None is silence."""

    needs_source = False
    asks_nobody = False

    def __init__(self, **said: Sequence[Answer | str | None]) -> None:
        self.said = {name: list(answers) for name, answers in said.items()}
        self.asked: list[str] = []

    def _next(self, name: str) -> Answer | str:
        self.asked.append(name)
        answer = self.said[name].pop(0)
        if answer is None:
            raise NoAnswer
        return answer

    async def authorize(self, _: Payment) -> Answer:
        answer = self._next("authorize")
        assert isinstance(answer, Answer)
        return answer

    async def find(self, _: Payment) -> Answer | None:
        answer = self._next("find")
        return answer if isinstance(answer, Answer) else None

    async def void(self, _: Payment) -> None:
        self._next("void")


async def test_an_answer_is_taken_as_it_is() -> None:
    gateway = Scripted(authorize=[YES])
    assert await settle(gateway, PAYMENT) == YES
    assert gateway.asked == ["authorize"]


async def test_who_comes_later_asks_what_became_of_it_first() -> None:
    known, unknown = Scripted(find=[YES]), Scripted(find=["nothing"], authorize=[YES])
    assert await settle(known, PAYMENT, again=True) == YES
    assert known.asked == ["find"]
    assert await settle(unknown, PAYMENT, again=True) == YES
    assert unknown.asked == ["find", "authorize"]


async def test_silence_is_asked_about_and_what_never_arrived_is_dropped() -> None:
    late = Scripted(authorize=[None], find=[YES])
    assert await settle(late, PAYMENT) == YES
    lost = Scripted(authorize=[None], find=["nothing"], void=["done"])
    answer = await settle(lost, PAYMENT)
    assert answer is not None
    assert (answer.status, answer.decline_code) == ("failed", "gateway_timeout")
    assert lost.asked == ["authorize", "find", "void"]


@pytest.mark.parametrize(
    "said", [{"authorize": [None], "find": [None]}, {"authorize": [None], "find": ["nothing"], "void": [None]}]
)
async def test_as_long_as_it_is_silent_nobody_knows(said: dict[str, list[Answer | str | None]]) -> None:
    assert await settle(Scripted(**said), PAYMENT) is None


async def test_no_gateway_has_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Scripted):
        async def authorize(self, _: Payment) -> Answer:
            await asyncio.sleep(60)
            raise AssertionError

    monkeypatch.setattr(port, "SECONDS", 0.01)
    assert await settle(Slow(find=[YES]), PAYMENT) == YES


async def test_letting_go_is_confirmed_or_not() -> None:
    assert await release(Scripted(void=["done"]), PAYMENT)
    assert not await release(Scripted(void=[None]), PAYMENT)


async def test_the_test_gateway_answers_by_the_source_and_the_same_for_a_key() -> None:
    gateway = TestGateway()
    first, again = await settle(gateway, PAYMENT), await settle(gateway, PAYMENT, again=True)
    assert first == again
    other = await settle(gateway, Payment("1/order/2", "EUR", 5495, "tok"))
    assert first is not None
    assert other is not None
    assert first.reference != other.reference
    statuses = {}
    for token in (DECLINES, TIMES_OUT, LOSES_ITS_ANSWER, "src_12"):
        answer = await settle(gateway, Payment("k", "EUR", 1, token))
        assert answer is not None
        statuses[token] = answer.status
    assert statuses == {
        DECLINES: "declined", TIMES_OUT: "failed", LOSES_ITS_ANSWER: "authorized", "src_12": "authorized",
    }  # fmt: skip


def test_only_stores_in_test_mode_take_test_payments() -> None:
    assert usable("test") == {"manual", "test"}
    assert usable("live") == {"manual"}
