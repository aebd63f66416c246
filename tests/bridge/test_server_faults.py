"""A fault of ours ends the leg it is about, on record and with its port; nothing else suffers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.conference.api import (
    ConferenceCommand,
    ConferenceEvent,
    LegKey,
    LegReady,
    LegState,
    PlayPrompts,
)
from bridge.config import parse_settings
from bridge.dispatch import Dispatcher
from bridge.server import Bridge
from bridge.sip.api import Dial
from bridge.units import LegId
from tests.bridge.conference.driver import CODE, PIN
from tests.bridge.phone import CallIn


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[Bridge]:
    settings = parse_settings(
        {
            "sip": {"listen": "127.0.0.1:0"},
            "rtp": {"port_range": [47_200, 47_399]},
            "store": {"url": f"sqlite:///{tmp_path}/faults.db"},
            "contract": [{"id": "c1", "currency": "USD"}],
            "account": [{"id": "acme", "contract": "c1"}],
            "session": [{"id": "s1", "account": "acme", "access_code": CODE, "organizer_pin": PIN}],
        }
    )
    bridge = Bridge(settings)
    await bridge.start()
    yield bridge
    await bridge.stop()


async def waiting(bridge: Bridge) -> tuple[CallIn, LegId]:
    """Call in; return the phone and its leg once that waits."""
    before = {view.leg for view in bridge.roster()}
    phone = await CallIn.dial(bridge, CODE)
    (leg,) = (view.leg for view in bridge.roster() if view.leg not in before)
    assert await bridge.wait_for(lambda b: b.roster()[-1].state is LegState.WAITING, 15)
    return phone, leg


async def has_left(bridge: Bridge, leg: LegId) -> bool:
    """Wait until a leg is over; return whether that is on record and its port is free."""
    assert await bridge.wait_for(lambda b: leg not in {view.leg for view in b.roster()}, 15)
    await bridge.committed()
    told = [fact.type for fact in bridge.facts if fact.subject == leg]
    return told[-1] == "leg.left" and sum(bridge.media.load) == len(bridge.roster())


async def test_a_fault_in_what_a_leg_does_ends_that_leg(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = bridge._stepper.step

    def fail(event: ConferenceEvent) -> tuple[ConferenceCommand, ...]:
        if isinstance(event, LegKey):
            raise ValueError("a fault of ours")
        return step(event)

    ann, leg = await waiting(bridge)
    ben, other = await waiting(bridge)
    monkeypatch.setattr(bridge._stepper, "step", fail)
    await ann.press("1")
    await ann.ended()
    assert await has_left(bridge, leg)
    assert other in {view.leg for view in bridge.roster()}
    await ann.close()
    await ben.close()


async def test_a_fault_when_a_leg_gets_its_port_ends_that_leg(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its port comes to a task of its own, whose fault nobody would hear of."""
    step = bridge._stepper.step

    def fail(event: ConferenceEvent) -> tuple[ConferenceCommand, ...]:
        if isinstance(event, LegReady):
            raise ValueError("a fault of ours")
        return step(event)

    monkeypatch.setattr(bridge._stepper, "step", fail)
    phone = await CallIn.listen()
    there = bridge.sip_address
    target = f"sip:{CODE}@{there.host}:{there.port}"
    phone.sip.order(Dial(phone.leg, target, "phone", "127.0.0.1", there, phone.media))
    await phone.ended()
    assert await bridge.wait_for(lambda b: not b.roster(), 15)
    assert bridge.media.load == (0,)
    await phone.close()


async def test_a_fault_in_a_command_ends_its_leg_and_the_others_go_on(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = Dispatcher.carry_out
    failed: set[LegId] = set()

    def fail(self: Dispatcher, command: ConferenceCommand) -> None:
        if isinstance(command, PlayPrompts) and failed <= {command.leg}:
            failed.add(command.leg)
            raise ValueError("a fault of ours")
        carry_out(self, command)

    monkeypatch.setattr(Dispatcher, "carry_out", fail)
    ann = await CallIn.dial(bridge, CODE)
    await ann.ended()
    (leg,) = failed
    await bridge.committed()
    assert [f.type for f in bridge.facts if f.subject == leg][-1] == "leg.left"
    ben, _ = await waiting(bridge)
    await ben.press(f"*0{PIN}#")
    assert await bridge.wait_for(lambda b: b.roster()[0].state is LegState.JOINED, 15)
    assert bridge.media.load == (1,)
    await ann.close()
    await ben.close()
