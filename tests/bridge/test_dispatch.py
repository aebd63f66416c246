"""The dispatcher and the leg table: one command, one message; a leg that is over, none."""

import pytest

from bridge.conference.api import (
    AnswerLeg,
    ConferenceCommand,
    EnterMix,
    HangUpLeg,
    LeaveMix,
    OpenMedia,
    PlayPrompts,
    PlayToMix,
    RecordName,
    RefuseLeg,
    SetLegGain,
    SetLegMuted,
    StopName,
    StopPrompts,
)
from bridge.dispatch import Dispatcher
from bridge.legtable import LegTable, set_remote
from bridge.link import (
    LegOpened,
    Play,
    PlayToGroup,
    SetGain,
    SetGroup,
    SetMuted,
    StopPlay,
    StopTake,
    Take,
    ToWorker,
)
from bridge.sip.api import (
    Accept,
    Address,
    CallIncoming,
    Codec,
    HangUp,
    LocalMedia,
    Reject,
    RemoteMedia,
    SipEvent,
)
from bridge.units import LegId, OccurrenceId

LEG = LegId("leg-1")
HERE = OccurrenceId("s1.a")
REMOTE = RemoteMedia(Address("192.0.2.7", 4_000), Codec("PCMA", 8), 101)


def incoming(leg: LegId = LEG) -> CallIncoming:
    return CallIncoming(
        leg=leg,
        user="join",
        host="example.test",
        source=Address("192.0.2.7", 5_060),
        from_user="ann",
        from_display="",
        asserted=None,
        diversion=None,
        anonymous=False,
        late_offer=False,
        remote=REMOTE,
        call_id="c1",
    )


class Wire:
    """Collects what goes to SIP and to the worker."""

    def __init__(self) -> None:
        self.sip: list[SipEvent] = []
        self.worker: list[ToWorker] = []
        self.legs = LegTable()
        self.dispatcher = Dispatcher(self, self.worker.append, self.legs)

    def order(self, event: SipEvent, /) -> None:
        self.sip.append(event)


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.legs.add(incoming()).opened = LegOpened(1, "127.0.0.1", 40_000)
    return wire


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (PlayPrompts(LEG, ("pin", "waiting"), 7), Play(1, ("pin", "waiting"), 7)),
        (PlayPrompts(LEG, ("hold-music",), 8, loop=True), Play(1, ("hold-music",), 8, True)),
        (StopPrompts(LEG), StopPlay(1)),
        (EnterMix(LEG, HERE), SetGroup(1, 0, "leg-1")),
        (LeaveMix(LEG), SetGroup(1, -1)),
        (RecordName(LEG, "clip/name/leg-1", 4_000_000_000), Take(1, "clip/name/leg-1", 200)),
        (StopName(LEG), StopTake(1)),
        (SetLegMuted(LEG, True), SetMuted(1, True)),
        (SetLegGain(LEG, -6), SetGain(1, -6)),
        (
            PlayPrompts(LEG, ("people", "n-3", "clip/x"), 9, language="fr"),
            Play(1, ("fr/people", "fr/n-3", "clip/x"), 9),
        ),
        (PlayPrompts(LEG, ("hold-music",), 8, True, "fr"), Play(1, ("hold-music",), 8, True)),
        (PlayToMix(HERE, ("recorded",), "nl"), PlayToGroup(0, ("nl/recorded",))),
        (PlayToMix(HERE, ("beep-in",)), PlayToGroup(0, ("beep-in",))),
    ],
)
def test_media_commands_become_worker_messages(
    wire: Wire, command: ConferenceCommand, message: ToWorker
) -> None:
    wire.dispatcher.carry_out(command)
    assert wire.worker == [message]
    assert wire.sip == []


@pytest.mark.parametrize(
    ("command", "order"),
    [
        (AnswerLeg(LEG), Accept(LEG, LocalMedia("127.0.0.1", 40_000))),
        (HangUpLeg(LEG, "kicked"), HangUp(LEG, "kicked")),
        (RefuseLeg(LEG, 404, "Not Found"), Reject(LEG, 404, "Not Found")),
    ],
)
def test_call_commands_become_sip_orders(
    wire: Wire, command: ConferenceCommand, order: SipEvent
) -> None:
    wire.dispatcher.carry_out(command)
    assert wire.sip == [order]
    assert wire.worker == []


@pytest.mark.parametrize(
    "command", [AnswerLeg(LEG), StopPrompts(LEG), EnterMix(LEG, HERE), OpenMedia(LEG)]
)
def test_a_command_for_a_leg_that_is_over_does_nothing(
    wire: Wire, command: ConferenceCommand
) -> None:
    wire.legs.remove(LEG)
    wire.dispatcher.carry_out(command)
    assert (wire.sip, wire.worker) == ([], [])


def test_a_number_is_never_used_again() -> None:
    legs = LegTable()
    first = legs.add(incoming())
    assert legs.remove(LEG) is first
    assert legs.remove(LEG) is None
    assert legs.by_number(first.number) is None
    second = legs.add(incoming(LegId("leg-2")))
    assert second.number != first.number
    assert [record.leg for record in legs] == ["leg-2"]
    assert len(legs) == 1


def test_groups_are_stable_and_distinct() -> None:
    legs = LegTable()
    first = legs.group_of(HERE)
    other = legs.group_of(OccurrenceId("s2.b"))
    assert legs.group_of(HERE) == first != other
    legs.forget_group(HERE)
    assert legs.group_of(HERE) not in (first, other), "a worker may still know the number"


def test_a_changed_address_is_latched_anew_and_hold_is_remembered() -> None:
    record = LegTable().add(incoming())
    same = set_remote(record, REMOTE, proven=True)
    assert (same.relatch, same.host, same.port, same.proven) == (False, "192.0.2.7", 4_000, True)
    held = RemoteMedia(None, Codec("PCMA", 8), None, remote_hears=False)
    order = set_remote(record, held, proven=False)
    assert (order.host, order.port, order.dtmf_payload_type) == ("", 0, -1)
    assert (order.relatch, order.remote_hears, record.held) == (False, False, True)
    set_remote(record, REMOTE, proven=True)
    moved = RemoteMedia(Address("192.0.2.7", 4_002), Codec("PCMA", 8), 101)
    assert set_remote(record, moved, proven=True).relatch
