"""Creating and changing sessions (R10), and how codes are compared."""

from dataclasses import replace

import pytest

from bridge.conference import api
from bridge.conference.api import SessionSpec, StartPolicy
from bridge.conference.sessions import SessionBook, pin_matches, same
from bridge.units import ConfMs, SessionId
from tests.bridge.conference.driver import CODE, PIN, SID, SPEC, Bridge

OTHER = SessionSpec(SessionId("s2"), "other", "555000", "123456")


def refusal(*specs: SessionSpec) -> list[str]:
    bridge = Bridge(None)
    for spec in specs:
        bridge.step(api.PutSession(spec))
    assert all(
        spec.access_code not in c.message and spec.organizer_pin not in c.message
        for spec in specs
        for c in bridge.commands
        if isinstance(c, api.Refused) and spec.access_code and spec.organizer_pin
    )
    return bridge.refusals()


def test_sessions_are_listed_as_they_were_put() -> None:
    bridge = Bridge(None)
    for spec in (SPEC, OTHER, replace(SPEC, toll_free=frozenset())):
        bridge.step(api.PutSession(spec))
    assert bridge.core.sessions() == (replace(SPEC, toll_free=frozenset()), OTHER)
    assert bridge.refusals() == []


@pytest.mark.parametrize(
    "changed",
    [
        replace(SPEC, toll_free=frozenset({"GB"})),
        replace(SPEC, start=StartPolicy.ON_COMMAND),
        replace(SPEC, opens=ConfMs(1), closes=ConfMs(2)),
    ],
)
def test_these_may_change(changed: SessionSpec) -> None:
    assert refusal(SPEC, changed) == []


@pytest.mark.parametrize(
    "changed",
    [
        replace(SPEC, access_code="999999"),
        replace(SPEC, organizer_pin="999999"),
        replace(SPEC, account="other"),
    ],
)
def test_account_code_and_pin_never_change(changed: SessionSpec) -> None:
    assert refusal(SPEC, changed) == ["session_fixed"]


@pytest.mark.parametrize("code", ["", "12", "12ab", "1" * 21, "12015550123", "join"])
def test_an_access_code_that_cannot_be_keyed_is_refused(code: str) -> None:
    assert refusal(replace(SPEC, access_code=code)) == ["bad_access_code"]


@pytest.mark.parametrize("pin", ["", "123", "12*4"])
def test_a_pin_that_cannot_be_keyed_is_refused(pin: str) -> None:
    assert refusal(replace(SPEC, organizer_pin=pin)) == ["bad_pin"]


def test_two_sessions_never_share_a_code() -> None:
    assert refusal(SPEC, replace(OTHER, access_code=CODE)) == ["duplicate_code"]


def test_the_code_of_a_cancelled_session_is_free() -> None:
    bridge = Bridge()
    bridge.step(api.CancelSession(SID, "api"))
    bridge.step(api.PutSession(replace(OTHER, access_code=CODE)))
    assert bridge.refusals() == []
    bridge.voip("ann")
    assert bridge.view("ann").session == "s2"


@pytest.mark.parametrize(("opens", "closes"), [(5, 5), (6, 5)])
def test_a_window_must_have_a_length(opens: int, closes: int) -> None:
    spec = replace(SPEC, opens=ConfMs(opens), closes=ConfMs(closes))
    assert refusal(spec) == ["bad_window"]


def test_a_window_may_have_one_end() -> None:
    assert refusal(replace(SPEC, opens=ConfMs(5)), replace(OTHER, closes=ConfMs(5))) == []


def test_nothing_equals_an_empty_secret() -> None:
    assert not same("", "")
    assert same(PIN, PIN)
    assert not same(PIN, "")
    assert not same(PIN, "é")
    assert pin_matches(SPEC, ("1", PIN))
    assert not pin_matches(SPEC, ("1", "2"))


def test_a_book_finds_a_session_by_its_code_only() -> None:
    book = SessionBook()
    book.put(SPEC)
    assert book.of_code(CODE) == SPEC
    assert book.of_code("") is None
    assert book.of_code(PIN) is None
