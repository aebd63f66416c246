"""What the controls of a conference do, whichever way they come: mute, hands, lock, lecture (R18).

Knows the one state of each participant and conference, and states one notice for each change. It
must not know keys, orders or who may use a control.

Mute-all and lecture mode are for participants; organizers are always heard. In lecture mode a
participant is heard only while he has the *floor*, which an organizer gives by unmuting him. With
mute-all alone participants may unmute themselves.
"""

from typing import Final

from bridge.conference import api, prompts
from bridge.conference.api import LegState, Role
from bridge.conference.hall import Hall
from bridge.conference.legs import Leg
from bridge.conference.occurrences import Occurrence

SELF: Final = "self"
ORGANIZER: Final = "organizer"
MUTE_ALL: Final = "mute_all"
LECTURE: Final = "lecture"
ROOM_EMPTY: Final = "room_empty"
"""Reasons of a mute: by oneself, of one leg by an organizer or order, of all, by lecture mode."""

KEY: Final = "key"
ORDER: Final = "order"

GAIN_DB_MAX: Final = 20
GAIN_DB_MIN: Final = -40


def reason_of(by: str) -> str:
    """Return how a change of a conference came: by an organizer's key, by itself, or by an order.

    >>> reason_of("organizer"), reason_of("room_empty"), reason_of("api:olga")
    ('key', 'room_empty', 'order')
    """
    return {ORGANIZER: KEY, ROOM_EMPTY: ROOM_EMPTY}.get(by, ORDER)


# --- one participant ----------------------------------------------------------------------


def set_muted(hall: Hall, leg: Leg, *, muted: bool, by: str, reason: str) -> None:
    """Mute or unmute a leg. A leg not let in yet takes the setting along (D3)."""
    if leg.muted is muted:
        return
    leg.muted = muted
    leg.muted_for = reason if muted else ""
    if leg.state in (LegState.WAITING, LegState.JOINED):
        hall.order(api.SetLegMuted(leg.id, muted))
    hall.leg_notice(leg, f"participant.{'muted' if muted else 'unmuted'}", by=by, reason=reason)


def mute_by_order(hall: Hall, leg: Leg, *, muted: bool, by: str) -> None:
    """Mute or unmute a leg for an organizer: in lecture mode that takes or gives the floor."""
    occurrence = hall.occurrence_of(leg)
    if occurrence is not None and occurrence.lecture and leg.role is Role.PARTICIPANT:
        leg.floor = not muted
        if leg.floor:
            set_hand(hall, leg, raised=False, by=by, reason="floor")
    set_muted(hall, leg, muted=muted, by=by, reason=ORGANIZER)


def may_unmute(hall: Hall, leg: Leg) -> bool:
    """Say whether a leg may unmute itself: not without the floor in lecture mode."""
    occurrence = hall.occurrence_of(leg)
    silent = occurrence is not None and occurrence.lecture and leg.role is Role.PARTICIPANT
    return leg.floor or not silent


def set_hand(hall: Hall, leg: Leg, *, raised: bool, by: str, reason: str = SELF) -> None:
    """Raise or lower a participant's hand."""
    if leg.hand_raised is not raised:
        leg.hand_raised = raised
        name = f"participant.hand_{'raised' if raised else 'lowered'}"
        hall.leg_notice(leg, name, by=by, reason=reason)


def set_gain(hall: Hall, leg: Leg, *, gain_db: int, by: str) -> None:
    """Set how loud a leg is in the mix. It keeps that wherever it goes."""
    if leg.gain_db != gain_db:
        leg.gain_db = gain_db
        hall.order(api.SetLegGain(leg.id, gain_db))
        hall.leg_notice(leg, "participant.modified", by=by, reason="volume", gain_db=gain_db)


def set_held(hall: Hall, leg: Leg, *, held: bool) -> None:
    """Note that the other side put the call on hold, or took it up again."""
    if leg.held is not held:
        leg.held = held
        name = f"participant.{'held' if held else 'resumed'}"
        hall.leg_notice(leg, name, by=leg.role.value, reason="reinvite")


def set_talking(hall: Hall, leg: Leg, *, talking: bool) -> None:
    """Note that a leg began to talk in its mix, or stopped."""
    if leg.talking is not talking:
        leg.talking = talking
        hall.leg_notice(leg, "speaker.changed", by=leg.role.value, reason="voice", talking=talking)


# --- one conference -----------------------------------------------------------------------


def set_locked(hall: Hall, occurrence: Occurrence, *, locked: bool, by: str) -> None:
    """Let nobody else in, or let people in again."""
    if occurrence.locked is not locked:
        occurrence.locked = locked
        name = f"conference.{'locked' if locked else 'unlocked'}"
        hall.room_notice(occurrence, name, by=by, reason=reason_of(by))


def set_lecture(hall: Hall, occurrence: Occurrence, *, on: bool, by: str) -> None:
    """Switch lecture mode: participants are muted until they are given the floor."""
    if occurrence.lecture is on:
        return
    occurrence.lecture = on
    name = f"lecture.{'on' if on else 'off'}"
    hall.room_notice(occurrence, name, by=by, reason=reason_of(by))
    hall.announce(occurrence, prompts.LECTURE_ON if on else prompts.LECTURE_OFF)
    for leg in occurrence.participants():
        leg.floor = False
        if on:
            set_muted(hall, leg, muted=True, by=by, reason=LECTURE)
            continue
        set_hand(hall, leg, raised=False, by=by, reason=LECTURE)
        if leg.muted_for == LECTURE and occurrence.mute_all:
            leg.muted_for = MUTE_ALL
        elif leg.muted_for == LECTURE:
            set_muted(hall, leg, muted=False, by=by, reason=LECTURE)


def mute_all(hall: Hall, occurrence: Occurrence, *, muted: bool, by: str) -> None:
    """Mute or unmute every participant; who comes later starts as they do.

    In lecture mode unmuting all gives nobody the floor.
    """
    if occurrence.mute_all is not muted:
        occurrence.mute_all = muted
        name = f"mute_all.{'on' if muted else 'off'}"
        hall.room_notice(occurrence, name, by=by, reason=reason_of(by))
        hall.announce(occurrence, prompts.ALL_MUTED if muted else prompts.ALL_UNMUTED)
    for leg in occurrence.participants():
        if muted:
            leg.floor = False
            set_muted(hall, leg, muted=True, by=by, reason=MUTE_ALL)
        elif leg.floor or not occurrence.lecture:
            set_muted(hall, leg, muted=False, by=by, reason=MUTE_ALL)


# --- coming and changing ------------------------------------------------------------------


def on_let_in(hall: Hall, occurrence: Occurrence, leg: Leg) -> None:
    """Have a participant who is let in start as the others are."""
    if occurrence.lecture:
        set_muted(hall, leg, muted=True, by=occurrence.id, reason=LECTURE)
    elif occurrence.mute_all:
        set_muted(hall, leg, muted=True, by=occurrence.id, reason=MUTE_ALL)


def on_freed(hall: Hall, leg: Leg, *, by: str) -> None:
    """Take from a leg what only participants of its conference are under: it became an organizer,
    or goes to another conference. What it did itself stays."""
    leg.floor = False
    set_hand(hall, leg, raised=False, by=by, reason=by)
    if leg.muted_for in (LECTURE, MUTE_ALL):
        set_muted(hall, leg, muted=False, by=by, reason=by)
