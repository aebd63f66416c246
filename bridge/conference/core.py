"""The door of the conference core: `Conference.step(event, at) -> ConferenceEffects`.

Knows which module answers which event and fires the timers of both clocks. It must not know
what any of them means.

A step first fires what is due, each conference timer at its own time, so that a waiting room
that ended at 5:00.000 ended then, however late the step came (D19). Then it handles the event,
then what has become due by it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from bridge.conference import (
    admission,
    api,
    calls,
    controls,
    departures,
    keypad,
    names,
    orders,
    rooms,
)
from bridge.conference.api import (
    ConferenceConfig,
    ConferenceEffects,
    ConferenceEvent,
    Instant,
    LegState,
    LegView,
    OccurrenceView,
    SessionSpec,
)
from bridge.conference.entry import KEYS, CodeKeyed, PinKeyed
from bridge.conference.hall import Hall
from bridge.conference.legs import (
    HUNG_UP,
    REASONS,
    Leg,
    LegEvent,
    Playing,
    Reaction,
    reaction_of,
)
from bridge.conference.numberplan import NumberPlan
from bridge.conference.timers import Alarm, TimerKey
from bridge.units import ConfMs, LegId, NowNs, SessionId

__all__ = ["Conference"]


class Conference:
    """Sessions, legs and who may hear whom. All its state is in here, all time is an argument."""

    def __init__(self, config: ConferenceConfig, plan: NumberPlan, ids: Callable[[], str]) -> None:
        """Begin empty. `ids` gives texts that are unique over restarts, for occurrences."""
        self._hall = Hall(config, plan, ids)

    def step(self, event: ConferenceEvent, at: Instant) -> ConferenceEffects:
        """Take one event; return all it wants done and when to `Tick`.

        Clocks that seem to go back are taken to stand still. When `IllegalTransition` is raised
        nothing was done for the event; what timers did is in the next effects.
        """
        hall = self._hall
        now = Instant(
            NowNs(max(at.now_ns, hall.at.now_ns)), ConfMs(max(at.conf_ms, hall.at.conf_ms))
        )
        self._fire_due(now)
        self._handle(event)
        self._fire_due(now)
        return hall.effects()

    def roster(self) -> tuple[LegView, ...]:
        """Return every leg that has not ended, in the order in which they came."""
        return tuple(leg.view for leg in self._hall.legs.values())

    def session_of(self, leg: LegId) -> SessionId | None:
        """Return the session that a leg is in or is called into, None while nobody knows."""
        known = self._hall.legs.get(leg)
        return None if known is None else known.session or known.wants

    def sessions(self) -> tuple[SessionSpec, ...]:
        """Return every session that is not cancelled, in the order in which they were put."""
        return self._hall.sessions.specs()

    def occurrences(self) -> tuple[OccurrenceView, ...]:
        """Return every open occurrence, in the order in which they opened."""
        return tuple(occurrence.view for occurrence in self._hall.open.values())

    def _fire_due(self, now: Instant) -> None:
        """Fire what is due: conference timers first, each at its time, then real ones at `now`."""
        hall = self._hall
        while True:
            due = hall.conf.pop_due(now.conf_ms)
            if due is not None:
                hall.at = Instant(now.now_ns, ConfMs(due[0]))
            else:
                hall.at = now
                due = hall.real.pop_due(now.now_ns)
            if due is None:
                return
            self._fire(due[1])

    def _fire(self, key: TimerKey) -> None:
        if key.alarm in _LEG_ALARMS:
            _LEG_ALARMS[key.alarm](self._hall, LegId(key.owner))
        else:
            _SESSION_ALARMS[key.alarm](self._hall, SessionId(key.owner))

    def _handle(self, event: ConferenceEvent) -> None:
        if isinstance(event, LegEvent):
            self._handle_leg(event)
        elif not isinstance(event, api.Tick):
            _ORDERS[type(event)](self._hall, event)

    def _handle_leg(self, event: LegEvent) -> None:
        leg = self._hall.legs.get(event.leg)
        reaction = reaction_of(LegState.ENDED if leg is None else leg.state, event)
        if leg is not None:
            _REACTIONS[reaction](self._hall, leg, event)
        elif isinstance(event, api.LegInvited):
            admission.on_invited(self._hall, event)


# --- what each reaction does --------------------------------------------------------------


def _ignore(hall: Hall, leg: Leg, event: LegEvent) -> None:
    """Do nothing, on purpose: late, repeated, or without meaning in this state."""


def _answer(hall: Hall, leg: Leg, event: api.LegReady) -> None:
    if leg.outbound:
        calls.dial(hall, leg)
    else:
        admission.answer(hall, leg)


def _forget(hall: Hall, leg: Leg, event: LegEvent) -> None:
    if not leg.outbound:
        departures.forget(hall, leg)
    elif isinstance(event, api.LegAbandoned):
        calls.on_failed(hall, leg, "no_media")
    # A hang-up of a leg that is to be dialled is of the try before.


def _refuse(hall: Hall, leg: Leg, event: api.LegLost) -> None:
    if leg.outbound:  # the server says by itself that there is no media
        return
    departures.forget(hall, leg)
    hall.order(api.RefuseLeg(leg.id, 503, "Service Unavailable"))


def _confirm(hall: Hall, leg: Leg, event: api.LegConfirmed) -> None:
    admission.confirm(hall, leg)
    _press_ahead(hall, leg)


def _press_ahead(hall: Hall, leg: Leg) -> None:
    """Press the keys that were kept; what they begin may have the rest wait again."""
    ahead, leg.ahead = leg.ahead, []
    for key in ahead:
        pressed = api.LegKey(leg.id, key)
        _REACTIONS[reaction_of(leg.state, pressed)](hall, leg, pressed)


def _on_verdict(hall: Hall, leg_id: LegId) -> None:
    """Judge what had to wait, then press the keys that came meanwhile."""
    leg = hall.legs[leg_id]
    keyed, leg.verdict = leg.verdict, None
    if isinstance(keyed, CodeKeyed):
        admission.judge(hall, leg, keyed)
    else:
        assert isinstance(keyed, PinKeyed), "only codes and PINs wait"
        keypad.judge_pin(hall, leg, keyed)
    _press_ahead(hall, leg)


def _keep_key(hall: Hall, leg: Leg, event: api.LegKey) -> None:
    admission.keep_key(leg, event.key)


def _code_key(hall: Hall, leg: Leg, event: api.LegKey) -> None:
    if leg.verdict is not None:
        admission.keep_key(leg, event.key)
    elif event.key in KEYS:
        admission.code_key(hall, leg, event.key)


def _name_key(hall: Hall, leg: Leg, event: api.LegKey) -> None:
    if event.key in KEYS and names.on_key(hall, leg, event.key):
        admission.keep_key(leg, event.key)
        _press_ahead(hall, leg)


def _name_prompt_done(hall: Hall, leg: Leg, event: api.LegPlayed) -> None:
    if leg.plays(event.token):
        names.on_prompt_done(hall, leg)


def _named(hall: Hall, leg: Leg, event: api.LegNamed) -> None:
    names.on_named(hall, leg, event.clip)


def _held(hall: Hall, leg: Leg, event: api.LegHeld) -> None:
    controls.set_held(hall, leg, held=event.held)


def _talked(hall: Hall, leg: Leg, event: api.LegTalked) -> None:
    controls.set_talking(hall, leg, talking=event.talking)


def _room_key(hall: Hall, leg: Leg, event: api.LegKey) -> None:
    if leg.verdict is not None:
        admission.keep_key(leg, event.key)
    elif event.key in KEYS:
        keypad.room_key(hall, leg, event.key)


def _code_prompt_done(hall: Hall, leg: Leg, event: api.LegPlayed) -> None:
    if leg.plays(event.token):
        admission.code_prompt_done(hall, leg)


def _hold_music(hall: Hall, leg: Leg, event: api.LegPlayed) -> None:
    if leg.plays(event.token):
        hall.play_music(leg)


def _play_done(hall: Hall, leg: Leg, event: api.LegPlayed) -> None:
    if leg.plays(event.token):
        leg.playing = Playing.NOTHING


def _go(hall: Hall, leg: Leg, event: api.LegPlayed) -> None:
    if leg.plays(event.token):
        departures.on_last_prompt_over(hall, leg.id)


def _hang_up(hall: Hall, leg: Leg, event: api.LegHungUp) -> None:
    reason = REASONS.get(event.cause, HUNG_UP)
    departures.finish(hall, leg, reason, hang_up=False)


def _lose(hall: Hall, leg: Leg, event: api.LegLost) -> None:
    departures.finish(hall, leg, REASONS.get(event.cause, HUNG_UP), at=event.last_packet)


def _ring(hall: Hall, leg: Leg, event: api.LegRinging) -> None:
    calls.on_ringing(hall, leg)


def _pick_up(hall: Hall, leg: Leg, event: api.LegAnswered) -> None:
    calls.on_answered(hall, leg)


def _miss(hall: Hall, leg: Leg, event: api.LegHungUp) -> None:
    calls.on_unreached(hall, leg, event.status)


def _drop(hall: Hall, leg: Leg, event: api.LegLost) -> None:
    calls.on_failed(hall, leg, event.cause)


def _accept_key(hall: Hall, leg: Leg, event: api.LegKey) -> None:
    calls.on_key(hall, leg, event.key)


def _ask_again(hall: Hall, leg: Leg, event: api.LegPlayed) -> None:
    if leg.plays(event.token):
        calls.ask(hall, leg)


def _decline(hall: Hall, leg: Leg, event: api.LegHungUp) -> None:
    calls.on_hung_up(hall, leg)


_REACTIONS: Final[Mapping[Reaction, Callable[[Hall, Leg, Any], None]]] = {
    Reaction.IGNORE: _ignore,
    Reaction.ANSWER: _answer,
    Reaction.FORGET: _forget,
    Reaction.REFUSE: _refuse,
    Reaction.CONFIRM: _confirm,
    Reaction.KEEP_KEY: _keep_key,
    Reaction.CODE_KEY: _code_key,
    Reaction.SECURITY_KEY: _code_key,
    Reaction.NAME_KEY: _name_key,
    Reaction.NAME_PROMPT_DONE: _name_prompt_done,
    Reaction.NAMED: _named,
    Reaction.HELD: _held,
    Reaction.TALKED: _talked,
    Reaction.ROOM_KEY: _room_key,
    Reaction.CODE_PROMPT_DONE: _code_prompt_done,
    Reaction.HOLD_MUSIC: _hold_music,
    Reaction.PLAY_DONE: _play_done,
    Reaction.GO: _go,
    Reaction.HANG_UP: _hang_up,
    Reaction.LOSE: _lose,
    Reaction.RING: _ring,
    Reaction.PICK_UP: _pick_up,
    Reaction.MISS: _miss,
    Reaction.DROP: _drop,
    Reaction.ACCEPT_KEY: _accept_key,
    Reaction.ASK_AGAIN: _ask_again,
    Reaction.DECLINE: _decline,
}
"""All but INVITE, which has no leg yet. `reaction_of` has matched the event's type."""

_ORDERS: Final[Mapping[type, Callable[[Hall, Any], None]]] = {
    api.PutSession: orders.put_session,
    api.SetTollFree: orders.set_toll_free,
    api.StartSession: orders.start_session,
    api.EndSession: orders.end_session,
    api.CancelSession: orders.cancel_session,
    api.MuteLeg: orders.mute_leg,
    api.KickLeg: orders.kick_leg,
    api.LockSession: orders.lock_session,
    api.SetLecture: orders.set_lecture,
    api.MuteAll: orders.mute_all,
    api.RaiseHand: orders.raise_hand,
    api.SetVolume: orders.set_volume,
    api.MoveLeg: orders.move_leg,
    api.Announce: orders.announce,
    api.CallMe: orders.call_me,
    api.RecordSession: orders.record_session,
}

_LEG_ALARMS: Final[Mapping[Alarm, Callable[[Hall, LegId], None]]] = {
    Alarm.CODE: admission.on_code_pause,
    Alarm.KEYS: keypad.on_key_pause,
    Alarm.VERDICT: _on_verdict,
    Alarm.NAME: names.on_no_answer,
    Alarm.RING: calls.on_ring_over,
    Alarm.RETRY: calls.on_retry,
    Alarm.ACCEPT: calls.on_not_accepted,
    Alarm.LAST: departures.on_last_prompt_over,
    Alarm.WAITING: rooms.on_inactive,
}

_SESSION_ALARMS: Final[Mapping[Alarm, Callable[[Hall, SessionId], None]]] = {
    Alarm.EMPTY: departures.on_empty,
    Alarm.GONE: departures.on_gone,
    Alarm.CLOSES: departures.on_window_closed,
}
