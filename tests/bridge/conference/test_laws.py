"""Laws over random stories: whatever callers, organizers, operators and clocks do, in any order.

The shell of the driver checks each step: ids without gaps, `leg.answered` first, nothing after
`leg.left`, no command after `HangUpLeg`, no mix before `leg.joined`.
"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.conference import api
from bridge.conference.api import ConferenceConfig, Entry, LegKind, LegState, SessionSpec
from bridge.units import ConfMs, LegId, SessionId
from tests.bridge.conference.driver import (
    CODE,
    CONF0,
    MIN,
    PIN,
    SID,
    SPEC,
    Bridge,
    on_command,
)

OTHER = SessionSpec(SessionId("s2"), "beta", "555000", "4444", toll_free=frozenset({"US"}))
TEAM = SessionSpec(SessionId("s3"), "acme", "555333", "4444")
CONFIGS = [
    ConferenceConfig(),
    ConferenceConfig(participants_max=2, organizer_gone_ms=0, entry=Entry.NAME),
    ConferenceConfig(waiting_keys_count=False, waiting_warning_ms=0, empty_close_ms=0),
    ConferenceConfig(
        guard_delay_ns=2_000_000_000, guard_source_tries=2, guard_session_tries=2, code_tries=9
    ),
    ConferenceConfig(call_me_countries=frozenset({"US"}), participants_max=3),
    ConferenceConfig(recording=True, recording_on=True),
    ConferenceConfig(organizer_gone_ms=10 * MIN, organizer_gone_warning_ms=MIN, code_tries=1),
]
PHRASES = [
    f"{CODE}#",
    f"{CODE}#*{PIN}#",
    "555000#",
    "555000#*4444#",
    "555333#*4444#",
    "999999#",
    f"*0{PIN}#",
    "*04444#",
    "*09999#",
    "*2",
    "*1",
    "#2",
    "*5",
    "*7",
    "*8",
    "*9",
    "#3",
    "*3",
    "#",
    "*",
    "5",
    "D",
]
PLACES = [
    ("US", LegKind.TOLL_FREE),
    ("GB", LegKind.TOLL_FREE),
    ("FR", LegKind.TOLL),
    ("", LegKind.VOIP),
]
CAUSES = ["remote_bye", "no_ack", "session_expired"]
DAY = 24 * 60 * MIN


class Stories(RuleBasedStateMachine):
    """One bridge, two sessions, and everything that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.bridge = Bridge(None)
        self.serial = 0

    def legs(self, *states: LegState) -> list[str]:
        roster = self.bridge.core.roster()
        return [view.leg for view in roster if not states or view.state in states]

    def any_leg(self, data: st.DataObject, *states: LegState) -> LegId | None:
        """Return one of the legs, or now and then one that has long gone."""
        names = [*self.legs(*states), *(["leg1"] if self.serial and not states else [])]
        return LegId(data.draw(st.sampled_from(names))) if names else None

    # --- set-up and orders ----------------------------------------------------------

    @precondition(lambda self: self.serial == 0)
    @rule(config=st.sampled_from(CONFIGS), spec=st.sampled_from([SPEC, on_command()]))
    def choose(self, config: ConferenceConfig, spec: SessionSpec) -> None:
        self.bridge = Bridge(spec, config)
        self.bridge.step(api.PutSession(OTHER))
        self.bridge.step(api.PutSession(TEAM))

    @rule(spec=st.sampled_from([SPEC, on_command(), OTHER]), window=st.integers(0, 3))
    def put(self, spec: SessionSpec, window: int) -> None:
        closes = ConfMs(self.bridge.conf_ms + window * 20 * MIN) if window else None
        self.bridge.step(api.PutSession(replace(spec, closes=closes)))

    @rule(session=st.sampled_from([SID, OTHER.id, SessionId("s9")]), what=st.integers(0, 11))
    def order(self, session: SessionId, what: int) -> None:
        if what < 5:
            self.bridge.step(api.StartSession(session, "api"))
        elif what < 9:
            self.bridge.step(api.EndSession(session, "api"))
        elif what == 9:
            self.bridge.step(api.CancelSession(session, "api"))
        else:
            self.bridge.step(api.SetTollFree("acme", enabled=what == 10))

    @rule(session=st.sampled_from([SID, OTHER.id]))
    def call_me(self, session: SessionId) -> None:
        self.serial += 1
        leg = LegId(f"leg{self.serial}")
        self.bridge.step(api.CallMe(leg, session, "+12125550111", "Ann", "web"))

    @rule(data=st.data(), what=st.integers(0, 4))
    def called(self, data: st.DataObject, what: int) -> None:
        leg = self.any_leg(data, LegState.DIALLED)
        if leg is not None:
            events = (
                api.LegRinging(leg),
                api.LegAnswered(leg),
                api.LegAnswered(leg),
                api.LegHungUp(leg, "refused", 486),
                api.LegHungUp(leg, "refused", 603),
            )
            self.bridge.step(events[what])

    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        if leg := self.any_leg(data, LegState.ASKED):
            self.bridge.keys(leg, "1")

    # --- legs -----------------------------------------------------------------------

    @rule(place=st.sampled_from(PLACES), far=st.integers(0, 4))
    def call(self, place: tuple[str, LegKind], far: int) -> None:
        self.serial += 1
        name = f"leg{self.serial}"
        self.bridge.invite(name, *place)
        if far:
            self.bridge.step(api.LegReady(LegId(name)))
        if far > 1:
            self.bridge.step(api.LegConfirmed(LegId(name)))
        if far > 2:
            self.bridge.keys(name, PHRASES[far - 3])

    @rule(user=st.sampled_from([CODE, "555000", "999999"]))
    def call_code(self, user: str) -> None:
        self.serial += 1
        name = LegId(f"leg{self.serial}")
        self.bridge.step(api.LegInvited(name, user, "", None))
        if name in self.legs():
            self.bridge.step(api.LegReady(name))

    @rule(data=st.data())
    def set_up(self, data: st.DataObject) -> None:
        if leg := self.any_leg(data, LegState.INVITED):
            ready = data.draw(st.booleans())
            self.bridge.step(api.LegReady(leg) if ready else api.LegAbandoned(leg))

    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        if leg := self.any_leg(data):
            self.bridge.step(api.LegConfirmed(leg))

    @rule(data=st.data(), phrase=st.sampled_from(PHRASES))
    def press(self, data: st.DataObject, phrase: str) -> None:
        if leg := self.any_leg(data):
            self.bridge.keys(leg, phrase)

    @rule(data=st.data(), stale=st.integers(0, 1))
    def play_ends(self, data: st.DataObject, stale: int) -> None:
        if leg := self.any_leg(data):
            self.bridge.step(api.LegPlayed(leg, self.bridge.shell.tokens.get(leg, 0) - stale))

    @rule(data=st.data(), cause=st.sampled_from(CAUSES))
    def hang_up(self, data: st.DataObject, cause: str) -> None:
        if leg := self.any_leg(data):
            self.bridge.step(api.LegHungUp(leg, cause))

    @rule(data=st.data(), ago=st.integers(-MIN, 10 * MIN))
    def lose(self, data: st.DataObject, ago: int) -> None:
        if leg := self.any_leg(data):
            self.bridge.step(api.LegLost(leg, ConfMs(self.bridge.conf_ms - ago)))

    @rule(data=st.data(), what=st.integers(0, 2))
    def command_leg(self, data: st.DataObject, what: int) -> None:
        if leg := self.any_leg(data):
            order = api.KickLeg(leg, "api") if what == 2 else api.MuteLeg(leg, muted=what == 1)
            self.bridge.step(order)

    @rule(data=st.data(), on=st.booleans(), what=st.integers(0, 2))
    def control_session(self, data: st.DataObject, on: bool, what: int) -> None:
        session = data.draw(st.sampled_from([SID, OTHER.id, TEAM.id]))
        orders = (
            api.LockSession(session, locked=on, by="web"),
            api.SetLecture(session, on=on, by="web"),
            api.MuteAll(session, muted=on, by="web"),
        )
        self.bridge.step(orders[what])

    @rule(data=st.data(), what=st.integers(0, 3))
    def control_leg(self, data: st.DataObject, what: int) -> None:
        if leg := self.any_leg(data):
            session = data.draw(st.sampled_from([SID, OTHER.id, TEAM.id]))
            orders = (
                api.RaiseHand(leg, raised=True),
                api.SetVolume(leg, 3, "web"),
                api.MoveLeg(leg, session, "web"),
                api.Announce(session, "alone", "web", leg=leg),
            )
            self.bridge.step(orders[what])

    # --- time -----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 1.5, 3, 10, 20]))
    def real_time(self, seconds: float) -> None:
        self.bridge.pause(seconds)

    @rule(minutes=st.sampled_from([0.25, 1, 4.5, 5, 29, 60]), late=st.booleans())
    def conference_time(self, minutes: float, late: bool) -> None:
        move = self.bridge.jump if late else self.bridge.advance
        move(round(minutes * MIN))

    # --- what holds always ----------------------------------------------------------

    @invariant()
    def rosters_shells_and_facts_agree(self) -> None:
        shell = self.bridge.shell
        roster = {view.leg: view for view in self.bridge.core.roster()}
        joined = {leg for leg, view in roster.items() if view.state is LegState.JOINED}
        assert set(shell.mix) == joined
        for leg, view in roster.items():
            assert leg not in shell.gone
            assert shell.last.get(leg) != "leg.left"
            assert (view.answered_at is not None) == (leg in shell.answered)
            assert (view.state in (LegState.WAITING, LegState.JOINED)) <= bool(view.occurrence)
            if view.state in (LegState.WAITING, LegState.JOINED):
                assert view.muted == (leg in shell.muted)
                assert view.state is LegState.JOINED or leg in shell.playing
        ended = {leg for leg in shell.answered if shell.last.get(leg) == "leg.left"}
        abandoned = {leg for leg in shell.answered - set(roster) - ended}
        assert not abandoned, "an answered leg that is gone has left"

    @invariant()
    def nobody_waits_in_what_has_started(self) -> None:
        started = {f.subject for f in self.bridge.facts("session.started")}
        for view in self.bridge.core.roster():
            if view.state is LegState.WAITING:
                assert view.occurrence not in started
            if view.state is LegState.JOINED:
                assert view.occurrence in started

    @invariant()
    def deadlines_lie_ahead(self) -> None:
        effects, bridge = self.bridge.effects, self.bridge
        assert effects.deadline_ns is None or effects.deadline_ns >= bridge.now_ns
        assert effects.deadline_conf is None or effects.deadline_conf > bridge.conf_ms

    def teardown(self) -> None:
        """Everybody leaves, a day passes: nothing is open, nothing is timed, all is told."""
        bridge = self.bridge
        for leg in self.legs():
            bridge.step(api.LegHungUp(LegId(leg), "remote_bye"))
        bridge.jump(DAY)
        assert bridge.core.roster() == ()
        assert (bridge.effects.deadline_ns, bridge.effects.deadline_conf) == (None, None)
        assert bridge.shell.recorded == set()
        last = bridge.shell.last
        assert {last[leg] for leg in bridge.shell.answered} <= {"leg.left"}
        closed = {kind for subject, kind in last.items() if subject not in bridge.shell.answered}
        assert closed <= {"session.ended", "session.cancelled"}
        for fact in bridge.facts("leg.left"):
            duration = fact.data["duration_ms"]
            answered = bridge.shell.facts[
                next(i for i, f in enumerate(bridge.shell.facts) if f.subject == fact.subject)
            ]
            assert fact.at - answered.at == duration
            assert isinstance(duration, int)
            assert duration >= 0


Stories.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True
)
TestStories = Stories.TestCase


@given(keys=st.text("0123456789*#ABCD!", max_size=80), split=st.integers(0, 80))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_row_of_keys_does_harm(keys: str, split: int) -> None:
    """Some keys before the ACK, the rest after it; then a pause long enough for all of them."""
    bridge = Bridge()
    bridge.invite("ann")
    bridge.step(api.LegReady(LegId("ann")))
    bridge.keys("ann", keys[:split])
    bridge.step(api.LegConfirmed(LegId("ann")))
    bridge.keys("ann", keys[split:])
    bridge.pause(120)
    if bridge.state("ann") is not LegState.ENDED:
        assert CODE in keys
    assert bridge.facts()[0].type == "leg.answered"


@given(moves=st.lists(st.integers(0, 10 * MIN), max_size=30))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_how_time_is_cut_changes_no_fact(moves: list[int]) -> None:
    """One late step and many early ones state the same facts at the same times (D19)."""
    cut, whole = Bridge(on_command()), Bridge(on_command())
    for bridge in (cut, whole):
        bridge.join("ann")
        bridge.organizer("olivia", kind=LegKind.VOIP)
        bridge.keys("olivia", "*1")
        bridge.join("bob")
        bridge.hang_up("olivia")
    for move in moves:
        cut.advance(move)
    whole.jump(sum(moves))
    assert cut.story() == whole.story()
    assert cut.story()[0] == ("ann", "leg.answered", 0)
    assert cut.conf_ms - CONF0 == sum(moves)
