"""Call Me (R14, D11): the bridge dials a participant, who presses 1 to be let in.

Knows tries, ringing and acceptance, all timed by the conference clock, and which facts a called
leg has. It must not know how a number is dialled.

A called leg has no facts until it is answered: ringing, busy and no answer are told as notices.
From the answer on it belongs to its session's occurrence, and is billed only once it was let in.
"""

from typing import Final

from bridge.conference import api, departures, names, prompts, rooms
from bridge.conference.api import LegKind, LegState, Notice, SessionSpec
from bridge.conference.departures import dismiss
from bridge.conference.hall import Data, Hall, Value
from bridge.conference.languages import language_of
from bridge.conference.legs import Leg, Move
from bridge.conference.timers import Alarm
from bridge.units import LegId

ACCEPT_KEY: Final = "1"
NOT_ACCEPTED: Final = "not_accepted"

BUSY: Final = "busy"
NO_ANSWER: Final = "no_answer"
DECLINED: Final = "declined"
FAILED: Final = "failed"

OUTCOMES: Final = {
    408: NO_ANSWER,
    480: NO_ANSWER,
    486: BUSY,
    487: NO_ANSWER,
    600: BUSY,
    603: DECLINED,
    607: DECLINED,  # RFC 8197: unwanted
}
"""What the final status of a call that was not answered means; any other is a failure."""

TRIED_AGAIN: Final = frozenset({BUSY, NO_ANSWER})


def call(hall: Hall, order: api.CallMe, spec: SessionSpec, *, number: str, country: str) -> None:
    """Begin to call somebody into a session."""
    leg = Leg(order.leg, LegKind.CALL_ME, number, country=country, did=number)
    leg.display_name, leg.wants, leg.account = order.name, spec.id, spec.account
    leg.language = language_of(country, hall.config.language)
    leg.source, leg.outbound = f"tel:{number}", True
    hall.legs[leg.id] = leg
    hall.calling.setdefault(spec.id, {})[leg.id] = leg
    _try(hall, leg)
    _tell(hall, leg, "dialling", by=order.by, reason="order")


def _try(hall: Hall, leg: Leg) -> None:
    leg.dials += 1
    leg.rang = False
    hall.order(api.OpenMedia(leg.id, outbound=True))


def _tell(hall: Hall, leg: Leg, what: str, **data: Value) -> None:
    told: Data = {"number": leg.ani, "name": leg.display_name, "attempt": leg.dials, **data}
    at = hall.at.conf_ms
    hall.notice(Notice(f"call_me.{what}", at, leg.wants, leg.account, leg.id, told))


# --- until it is answered -----------------------------------------------------------------


def dial(hall: Hall, leg: Leg) -> None:
    """Dial a leg that has its media."""
    leg.move(Move.DIAL)
    hall.order(api.DialLeg(leg.id, leg.ani, leg.display_name))
    hall.arm_conf(Alarm.RING, leg.id, hall.at.conf_ms + hall.config.call_me_ring_ms)


def on_ringing(hall: Hall, leg: Leg) -> None:
    """Tell, once a try, that the phone rings."""
    if not leg.rang:
        leg.rang = True
        _tell(hall, leg, "ringing", reason="sip_180")


def on_ring_over(hall: Hall, leg_id: LegId) -> None:
    """Give up a try that nobody answered in time."""
    leg = hall.legs[leg_id]
    hall.order(api.CancelDial(leg.id))
    _missed(hall, leg, NO_ANSWER, reason="ring_timeout")


def on_unreached(hall: Hall, leg: Leg, status: int | None) -> None:
    """Take that a try ended without an answer."""
    outcome = OUTCOMES.get(status or 0, FAILED)
    _missed(hall, leg, outcome, reason=f"sip_{status}" if status else "sip")


def on_failed(hall: Hall, leg: Leg, reason: str) -> None:
    """Take that a try could not be made, or went with the media worker."""
    if leg.state is LegState.DIALLED:
        hall.order(api.CancelDial(leg.id))
    _missed(hall, leg, FAILED, reason=reason)


def _missed(hall: Hall, leg: Leg, outcome: str, *, reason: str) -> None:
    """Try again later, or be done with it."""
    hall.disarm(Alarm.RING, leg.id)
    leg.outcome, leg.rang = outcome, False
    again = outcome in TRIED_AGAIN and leg.dials <= hall.config.call_me_retries
    _tell(hall, leg, outcome, reason=reason, again=again)
    if again:
        leg.move(Move.REST)
        due = hall.at.conf_ms + hall.config.call_me_retry_after_ms
        hall.arm_conf(Alarm.RETRY, leg.id, due)
    else:
        departures.forget(hall, leg)


def on_retry(hall: Hall, leg_id: LegId) -> None:
    """Dial once more."""
    leg = hall.legs[leg_id]
    leg.move(Move.RETRY)
    _try(hall, leg)


# --- from the answer until it is accepted -------------------------------------------------


def on_answered(hall: Hall, leg: Leg) -> None:
    """Take the answer, maybe a machine's: from now on the leg has facts and a duration."""
    hall.disarm(Alarm.RING, leg.id)
    departures.not_calling(hall, leg)
    spec = hall.sessions.get(leg.wants) if leg.wants is not None else None
    assert spec is not None, "calls into a cancelled session are dropped with it"
    leg.move(Move.ASK)
    leg.answered_at = hall.at.conf_ms
    data: Data = {
        "kind": leg.kind.value,
        "country": leg.country,
        "did": leg.did,
        "ani": leg.ani,
        "direction": "outbound",
    }
    hall.leg_fact(leg, "leg.answered", data)
    rooms.enter_occurrence(hall, leg, spec)
    hall.member_fact(leg, "leg.identified")
    _tell(hall, leg, "answered", reason="sip_200")
    hall.arm_conf(Alarm.ACCEPT, leg.id, hall.at.conf_ms + hall.config.call_me_accept_ms)
    ask(hall, leg)


def ask(hall: Hall, leg: Leg) -> None:
    """Ask for the key, again and again until the time is over."""
    hall.play(leg, prompts.CALL_ME)


def on_key(hall: Hall, leg: Leg, key: str) -> None:
    """Let a leg in that accepts; any other key means nothing."""
    if key != ACCEPT_KEY:
        return
    hall.disarm(Alarm.ACCEPT, leg.id)
    hall.silence(leg)
    occurrence = hall.occurrence_of(leg)
    assert occurrence is not None, "an answered leg has an occurrence"
    fault = rooms.refusal_of(hall, occurrence)
    if fault:
        dismiss(hall, leg, *fault)
        return
    _tell(hall, leg, "joined", reason="accepted")
    names.arrive(hall, occurrence, leg, keyed=False)


def on_not_accepted(hall: Hall, leg_id: LegId) -> None:
    """End a leg whose time to accept is over (B10)."""
    leg = hall.legs[leg_id]
    _tell(hall, leg, DECLINED, reason="accept_timeout", again=False)
    departures.finish(hall, leg, NOT_ACCEPTED)


def on_hung_up(hall: Hall, leg: Leg) -> None:
    """Take that a callee hung up instead of accepting."""
    _tell(hall, leg, DECLINED, reason="hung_up", again=False)
    departures.finish(hall, leg, NOT_ACCEPTED, hang_up=False)
