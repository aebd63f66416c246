"""Call Me through a whole bridge and a real SIP callee: B10 and B11 to the cent (D11)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.conference.api import CallMe, EndSession, Fact, LegState, Notice
from bridge.config import parse_settings
from bridge.server import Bridge
from bridge.units import ConfMs, LegId, SessionId
from tests.bridge.conference.driver import CODE, CONF0, PIN
from tests.bridge.phone import CallIn

SID, ANN = SessionId("s1"), LegId("ann-1")
NUMBER = "+12125550111"
S = 1_000


class Stage:
    """A bridge whose conference clock stands still, and the phone it calls."""

    def __init__(self, bridge: Bridge, phone: CallIn) -> None:
        self.bridge, self.phone = bridge, phone
        self.told: list[Fact | Notice] = []
        bridge.subscribe(self.told.append)

    async def call(self) -> None:
        assert await self.bridge.order(CallMe(ANN, SID, NUMBER, "Ann", "web")) == ()

    def state(self) -> LegState | None:
        return next((v.state for v in self.bridge.roster() if v.leg == ANN), None)

    async def until(self, state: LegState | None) -> None:
        assert await self.bridge.wait_for(lambda _: self.state() is state, 15), self.state()
        await self.bridge.committed()

    async def advance(self, ms: int) -> None:
        await self.bridge.advance_to(ConfMs(self.bridge.now_conf() + ms))

    def types(self) -> list[str]:
        """Return what was told of the call: its notices, and the facts of its leg."""
        calls = [e for e in self.told if e.type.startswith("call_me.") or is_fact_of_ann(e)]
        return [event.type for event in calls]


def is_fact_of_ann(event: Fact | Notice) -> bool:
    return isinstance(event, Fact) and event.subject == ANN


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    phone = await CallIn.listen()
    host, port = phone.sip.address
    settings = parse_settings(
        {
            "sip": {"listen": "127.0.0.1:0"},
            "rtp": {"port_range": [47_200, 47_399]},
            "store": {"url": f"sqlite:///{tmp_path}/callme.db"},
            "call_me": {"gateway": f"{host}:{port}", "caller_id": "+12025550100"},
            "contract": [{"id": "c1", "currency": "USD", "call_me": {"US": "0.07"}}],
            "account": [{"id": "acme", "contract": "c1", "time_zone": "UTC"}],
            "session": [{"id": "s1", "account": "acme", "access_code": CODE, "organizer_pin": PIN}],
        }
    )
    bridge = Bridge(settings, clock_running=False, starts_at=CONF0)
    await bridge.start()
    organizer = await CallIn.dial(bridge, CODE)
    await organizer.press(f"*0{PIN}#")
    assert await bridge.wait_for(lambda b: b.occurrences()[0].started, 15)
    yield Stage(bridge, phone)
    await bridge.stop()
    await organizer.close()
    await phone.close()


async def bill(stage: Stage) -> str:
    """End the session, so that all is final, and return what February costs."""
    assert await stage.bridge.order(EndSession(SID, "web")) == ()
    return str((await stage.bridge.invoice("acme", "2026-02")).total)


async def test_b11_the_callee_presses_1_and_pays_from_his_answer(stage: Stage) -> None:
    await stage.call()
    invite = await stage.phone.rung()
    assert (invite.user, invite.from_user) == (NUMBER, "+12025550100")
    await stage.advance(25 * S)
    await stage.phone.answer()
    await stage.until(LegState.ASKED)
    await stage.advance(5 * S)
    await stage.phone.press("1")
    await stage.until(LegState.JOINED)
    await stage.advance(180 * S)
    await stage.phone.hang_up()
    await stage.until(None)
    left = next(e for e in stage.told if e.type == "leg.left")
    assert (left.data["reason"], left.data["duration_ms"]) == ("hung_up", 185_000)
    assert stage.types() == [
        "call_me.dialling",
        "call_me.ringing",
        "leg.answered",
        "leg.identified",
        "call_me.answered",
        "leg.joined",
        "call_me.joined",
        "leg.left",
    ]
    assert await bill(stage) == "0.28"


async def test_b10_a_machine_that_answers_is_hung_up_and_costs_nothing(stage: Stage) -> None:
    await stage.call()
    await stage.phone.rung()
    await stage.advance(25 * S)
    await stage.phone.answer()
    await stage.until(LegState.ASKED)
    await stage.advance(40 * S)
    await stage.until(None)
    await stage.phone.ended()
    left = next(e for e in stage.told if e.type == "leg.left")
    assert (left.data["reason"], left.data["duration_ms"]) == ("not_accepted", 40_000)
    assert await bill(stage) == "0.00"


async def test_a_busy_callee_is_called_again_after_a_while(stage: Stage) -> None:
    await stage.call()
    await stage.phone.rung()
    stage.phone.refuse(486)
    await stage.until(LegState.RESTING)
    stage.phone.notices.clear()
    await stage.advance(60 * S)
    await stage.phone.rung()
    await stage.phone.answer()
    await stage.until(LegState.ASKED)
    assert stage.types()[:4] == [
        "call_me.dialling",
        "call_me.ringing",
        "call_me.busy",
        "call_me.ringing",
    ]


async def test_a_callee_who_does_not_answer_hears_the_ringing_end(stage: Stage) -> None:
    await stage.call()
    await stage.phone.rung()
    await stage.until(LegState.DIALLED)
    await stage.advance(45 * S)
    await stage.until(LegState.RESTING)
    await stage.phone.ended()
    assert len([r for r in stage.bridge.roster() if r.leg == ANN]) == 1


async def test_a_gateway_that_is_gone_is_known_at_once(stage: Stage) -> None:
    """Its port is closed, and ICMP says so: the call fails now, not after 32 s (timer B)."""
    stage.phone.sip.close()
    await stage.call()
    await stage.until(None)
    assert stage.types() == ["call_me.dialling", "call_me.failed"]
