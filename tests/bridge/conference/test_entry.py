"""D20: what a row of keys means, in every stage."""

from itertools import product

import pytest

from bridge.conference.entry import (
    ENTRY_KEYS_MAX,
    TRANSITIONS,
    CodeKeyed,
    ControlKeyed,
    KeyCollector,
    Keyed,
    PinKeyed,
    Press,
    Stage,
)
from bridge.errors import IllegalTransition
from bridge.units import NowNs

INSIDE, OUTSIDE = NowNs(5), NowNs(10)  # of a window until 10
KEY_PRESSES = [press for press in Press if press is not Press.PAUSE]


def take(keys: str, *, window: bool, now: NowNs = INSIDE) -> list[Keyed]:
    """Press keys after the code; "p" is a pause."""
    collector = KeyCollector()
    collector.let_in(10 if window else None)
    taken = [collector.pause() if key == "p" else collector.press(key, now) for key in keys]
    return [keyed for keyed in taken if keyed is not None]


@pytest.mark.parametrize(("stage", "press"), list(product(Stage, KEY_PRESSES)))
def test_every_key_has_a_meaning_in_every_stage(stage: Stage, press: Press) -> None:
    assert press in TRANSITIONS[stage]


def test_a_pause_cannot_come_where_nothing_was_begun() -> None:
    without = {stage for stage in Stage if Press.PAUSE not in TRANSITIONS[stage]}
    assert without == {Stage.IDLE, Stage.OPEN}
    with pytest.raises(IllegalTransition, match="PAUSE"):
        take("p", window=False)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("482913#", CodeKeyed("482913", ended=True)),
        ("12*482913#", CodeKeyed("482913", ended=True)),
        ("0#", CodeKeyed("0", ended=True)),
        ("#", CodeKeyed("", ended=True)),
        ("4A8D#", CodeKeyed("48", ended=True)),
    ],
)
def test_a_code_is_digits_up_to_the_hash(keys: str, code: CodeKeyed) -> None:
    collector = KeyCollector()
    taken = [collector.press(key, INSIDE) for key in keys]
    assert taken[-1] == code
    assert not any(taken[:-1])
    assert not collector.pending


def test_a_pause_takes_a_code_as_it_is() -> None:
    collector = KeyCollector()
    assert collector.pause() == CodeKeyed("", ended=False)
    collector.press("4", INSIDE)
    assert collector.pending
    assert collector.pause() == CodeKeyed("4", ended=False)


def test_an_endless_code_is_taken_at_the_limit() -> None:
    collector = KeyCollector()
    taken = [collector.press("7", INSIDE) for _ in range(ENTRY_KEYS_MAX + 1)]
    assert taken[-1] == CodeKeyed("7" * ENTRY_KEYS_MAX, ended=True)
    assert not any(taken[:-1])


def test_an_endless_pin_is_taken_at_the_limit() -> None:
    assert take("*0" + "7" * ENTRY_KEYS_MAX, window=False) == [
        PinKeyed(("7" * (ENTRY_KEYS_MAX - 2),))
    ]
    assert take("*" + "7" * ENTRY_KEYS_MAX, window=True) == [
        PinKeyed(("7" * (ENTRY_KEYS_MAX - 1),))
    ]


@pytest.mark.parametrize(
    ("keys", "meaning"),
    [
        ("*2", [ControlKeyed("*2")]),
        ("**2", [ControlKeyed("*2")]),
        ("#2", [ControlKeyed("#2")]),
        ("##2", [ControlKeyed("#2")]),
        ("#0", [ControlKeyed("#0")]),
        ("*#", [ControlKeyed("*#")]),
        ("#*2", [ControlKeyed("*2")]),
        ("*p2", []),
        ("#p2", []),
        ("123", []),
        ("*A2", [ControlKeyed("*2")]),
        ("*0771144#", [PinKeyed(("771144",))]),
        ("*0771144p", [PinKeyed(("771144",))]),
        ("*00123#", [PinKeyed(("0123",))]),
        ("*0#2", []),
        ("*0p", []),
        ("*0*2", [ControlKeyed("*2")]),
        ("*077*2", [ControlKeyed("*2")]),
        ("*2*2", [ControlKeyed("*2"), ControlKeyed("*2")]),
    ],
)
def test_outside_the_window_a_star_begins_a_control(keys: str, meaning: list[Keyed]) -> None:
    assert take(keys, window=False) == meaning
    assert take(keys, window=True, now=OUTSIDE) == meaning


@pytest.mark.parametrize(
    ("keys", "meaning"),
    [
        ("*771144#", [PinKeyed(("771144",))]),
        ("*771144p", [PinKeyed(("771144",))]),
        ("*0123#", [PinKeyed(("0123", "123"))]),
        ("*00123#", [PinKeyed(("00123", "0123"))]),
        ("*0#", [PinKeyed(("0",))]),
        ("*2#", [PinKeyed(("2",))]),
        ("*2", []),
        ("*2p", [ControlKeyed("*2")]),
        ("*2*2p", [ControlKeyed("*2"), ControlKeyed("*2")]),
        ("*0p2", []),
        ("*p2", []),
        ("*#", [ControlKeyed("*#")]),
        ("**771144#", [PinKeyed(("771144",))]),
        ("*77*771144#", [PinKeyed(("771144",))]),
        ("*0*771144#", [PinKeyed(("771144",))]),
        ("123*771144#", [PinKeyed(("771144",))]),
        ("0*771144#", [PinKeyed(("771144",))]),
        ("*20#", [PinKeyed(("20",))]),
        ("*1234#*5678#", [PinKeyed(("1234",)), PinKeyed(("5678",))]),
        ("#*2", [ControlKeyed("*2")]),
        ("#p*2", [ControlKeyed("*2")]),
        ("#*0771144#", [PinKeyed(("771144",))]),
    ],
)
def test_within_the_window_a_star_begins_a_pin(keys: str, meaning: list[Keyed]) -> None:
    assert take(keys, window=True) == meaning


def test_a_pin_begun_within_the_window_ends_as_one_after_it() -> None:
    collector = KeyCollector()
    collector.let_in(10)
    for key in "*7711":
        collector.press(key, INSIDE)
    for key in "44":
        assert collector.press(key, OUTSIDE) is None
    assert collector.press("#", OUTSIDE) == PinKeyed(("771144",))
    assert collector.press("*", OUTSIDE) is None
    assert collector.press("2", OUTSIDE) == ControlKeyed("*2")


def test_a_closed_window_stays_closed() -> None:
    collector = KeyCollector()
    collector.let_in(10)
    collector.close_window()
    collector.press("*", INSIDE)
    assert collector.press("2", INSIDE) == ControlKeyed("*2")
