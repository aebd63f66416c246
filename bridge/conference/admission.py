"""From the INVITE to the right access code (D18, D20).

Knows what may be dialled and how a code is asked for. It must not know what happens to a leg
whose code was right.
"""

from typing import Final

from bridge.conference import api, guesses, names, prompts, rooms
from bridge.conference.api import LegInvited, LegKind, LegState, SessionSpec
from bridge.conference.departures import dismiss
from bridge.conference.entry import CodeKeyed
from bridge.conference.hall import Data, Hall
from bridge.conference.languages import after, language_of
from bridge.conference.legs import TYPE_AHEAD_MAX, Leg, Move, Playing
from bridge.conference.numberplan import is_access_code
from bridge.conference.sessions import is_open, same
from bridge.conference.timers import Alarm
from bridge.units import LegId

LEGS_MAX: Final = 65_536
"""Legs at one time; the media plane ends far below."""

LANGUAGE_KEY: Final = "*"
"""Before the first digit of a code: greet me in the next language (R19)."""

JOIN_USER: Final = "join"
"""`sip:join@...`: a VoIP leg that will key its access code."""


# --- before the answer --------------------------------------------------------------------


def on_invited(hall: Hall, event: LegInvited) -> None:
    """Accept what may be dialled, refuse the rest."""
    if len(hall.legs) >= LEGS_MAX:
        hall.order(api.RefuseLeg(event.leg, 503, "Service Unavailable"))
        return
    source = _source_of(event)
    leg = _leg_of(hall, event, source)
    owned = hall.plan.lookup(event.user) is not None
    if leg is None and not owned and is_access_code(event.user):
        guesses.wrong_code(hall, source, way="uri")
    locked = hall.guard.is_locked(source, hall.at.now_ns)
    if leg is not None and not locked:
        hall.legs[leg.id] = leg
        hall.order(api.OpenMedia(leg.id))
    elif owned or (leg is not None and leg.wants is None):
        hall.order(api.RefuseLeg(event.leg, 403, "Forbidden"))
    else:  # for who is locked out, a right code looks like a wrong one
        hall.order(api.RefuseLeg(event.leg, 404, "Not Found"))


def _source_of(event: LegInvited) -> str:
    """Return whose guesses a call's count as: who is called by a trunk has a number."""
    if event.trunk is not None and event.ani:
        return f"tel:{event.ani}"
    return f"ip:{event.source}" if event.source else ""


def _leg_of(hall: Hall, event: LegInvited, source: str) -> Leg | None:
    """Return the leg that a dialled user makes, None when it makes none.

    Numbers come from trunks only: whoever else could dial one would choose who pays.
    """
    leg = Leg(event.leg, LegKind.VOIP, event.ani, display_name=event.display_name, source=source)
    leg.language = hall.config.language
    did = hall.plan.lookup(event.user)
    if did is not None and event.trunk is not None:
        leg.kind, leg.country, leg.did = did.kind, did.country, did.e164
        leg.language = language_of(did.country, hall.config.language)
        return leg
    spec = hall.sessions.admitting(event.user, hall.at.conf_ms)
    if spec is not None:
        leg.wants = spec.id
        return leg
    return leg if event.user.lower() == JOIN_USER else None


def answer(hall: Hall, leg: Leg) -> None:
    """Answer a leg that has its media: from now on it has facts and a duration (D7)."""
    leg.move(Move.ANSWER)
    leg.answered_at = hall.at.conf_ms
    data: Data = {
        "kind": leg.kind.value,
        "country": leg.country,
        "did": leg.did,
        "ani": leg.ani,
        "direction": "inbound",
    }
    hall.leg_fact(leg, "leg.answered", data)
    hall.order(api.AnswerLeg(leg.id))


def keep_key(leg: Leg, key: str) -> None:
    """Keep a key pressed before the ACK came."""
    if len(leg.ahead) < TYPE_AHEAD_MAX:
        leg.ahead.append(key)


# --- the code -----------------------------------------------------------------------------


def confirm(hall: Hall, leg: Leg) -> None:
    """Greet a leg and ask for its code; one that dialled it is let in at once."""
    if leg.wants is None:
        leg.move(Move.PROMPT)
        _ask(hall, leg, prompts.GREETING)
        return
    spec = hall.sessions.get(leg.wants)
    if spec is None or not is_open(spec, hall.at.conf_ms):
        dismiss(hall, leg, "wrong_code", prompts.BAD_CODE)  # it was right when it was dialled
    else:
        identify(hall, leg, spec)


def _ask(hall: Hall, leg: Leg, prompt: str) -> None:
    hall.play(leg, prompt)
    hall.arm_real(Alarm.CODE, leg, hall.config.code_timeout_ns)


def code_prompt_done(hall: Hall, leg: Leg) -> None:
    """Give a leg the whole time for its first key after the prompt has ended."""
    leg.playing = Playing.NOTHING
    hall.arm_real(Alarm.CODE, leg, hall.config.code_timeout_ns)


def code_key(hall: Hall, leg: Leg, key: str) -> None:
    """Take one key at the code prompt; the first one stops the prompt."""
    hall.silence(leg)
    greeted = leg.state is LegState.PROMPTED
    if greeted and key == LANGUAGE_KEY and not leg.collector.pending:
        leg.language = after(leg.language)
        _ask(hall, leg, prompts.GREETING)
        return
    keyed = leg.collector.press(key, hall.at.now_ns)
    if isinstance(keyed, CodeKeyed):
        _take_code(hall, leg, keyed)
        return
    waiting = leg.collector.pending
    pause = hall.config.key_timeout_ns if waiting else hall.config.code_timeout_ns
    hall.arm_real(Alarm.CODE, leg, pause)


def on_code_pause(hall: Hall, leg_id: LegId) -> None:
    """Take what was keyed before the pause, which may be nothing."""
    leg = hall.legs[leg_id]
    keyed = leg.collector.pause()
    assert isinstance(keyed, CodeKeyed), "a leg at a code prompt has nothing but a code"
    _take_code(hall, leg, keyed)


def _take_code(hall: Hall, leg: Leg, keyed: CodeKeyed) -> None:
    if not keyed.code:
        _missed(hall, leg, silent=not keyed.ended)
    elif not guesses.must_wait(hall, leg, keyed):
        judge(hall, leg, keyed)


def judge(hall: Hall, leg: Leg, keyed: CodeKeyed) -> None:
    """Say whether a code is right, whichever one was asked for."""
    if leg.state is LegState.SECURED:
        _judge_security(hall, leg, keyed)
    else:
        _judge_code(hall, leg, keyed)


def _judge_code(hall: Hall, leg: Leg, keyed: CodeKeyed) -> None:
    spec = hall.sessions.admitting(keyed.code, hall.at.conf_ms)
    if spec is not None and not hall.guard.is_locked(leg.source, hall.at.now_ns):
        identify(hall, leg, spec)
        return
    guesses.wrong_code(hall, leg.source, way="keys", leg=leg.id)
    _missed(hall, leg, silent=False)


def _missed(hall: Hall, leg: Leg, *, silent: bool) -> None:
    leg.code_tries += 1
    locked = hall.guard.is_locked(leg.source, hall.at.now_ns)
    if locked or leg.code_tries >= hall.config.code_tries:
        _give_up(hall, leg, silent=silent)
    elif leg.state is LegState.SECURED:
        _ask(hall, leg, prompts.SECURITY if silent else prompts.BAD_SECURITY)
    else:
        _ask(hall, leg, prompts.GREETING if silent else prompts.BAD_CODE)


def _give_up(hall: Hall, leg: Leg, *, silent: bool) -> None:
    """Send a leg away after its last try; `silent` when nothing was keyed in that."""
    if silent:
        dismiss(hall, leg, "no_code", prompts.NO_CODE)
    else:
        dismiss(hall, leg, "wrong_code", prompts.TOO_MANY_TRIES)


# --- once the access code was right ---------------------------------------------------------


def identify(hall: Hall, leg: Leg, spec: SessionSpec) -> None:
    """Tie a leg to its session; then ask for what else it takes, let it in, or say why not."""
    occurrence = rooms.enter_occurrence(hall, leg, spec)
    hall.disarm(Alarm.CODE, leg.id)
    hall.member_fact(leg, "leg.identified")
    if not hall.sessions.offers(spec, leg.kind, leg.country):
        dismiss(hall, leg, "not_offered", prompts.NOT_OFFERED)
    elif fault := rooms.refusal_of(hall, occurrence):
        dismiss(hall, leg, *fault)
    elif spec.security_code:
        leg.move(Move.SECURE)
        leg.code_tries = 0
        _ask(hall, leg, prompts.SECURITY)
    else:
        names.arrive(hall, occurrence, leg, keyed=leg.wants is None)


def _judge_security(hall: Hall, leg: Leg, keyed: CodeKeyed) -> None:
    occurrence = hall.occurrence_of(leg)
    assert occurrence is not None, "a leg has an occurrence once its code was right"
    # Taken away meanwhile, it is not asked for any more.
    wanted = occurrence.spec.security_code
    right = same(wanted, keyed.code) or not wanted
    if right and guesses.is_open(hall, leg, occurrence, guesses.SECURITY):
        hall.disarm(Alarm.CODE, leg.id)
        names.arrive(hall, occurrence, leg, keyed=leg.wants is None)
        return
    guesses.wrong_secret(hall, leg, occurrence, guesses.SECURITY)
    _missed(hall, leg, silent=False)
