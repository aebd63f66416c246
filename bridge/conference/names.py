"""Between the code and the room: a caller says his name, for the others to hear (R18).

Knows how a name is asked for and taken. It must not know samples, nor who hears the name when.

Nothing holds anybody up: who says nothing is let in without a name, and so is who keys on; what
he keyed is pressed once he is in.
"""

from typing import Final

from bridge.conference import api, prompts, rooms
from bridge.conference.api import Entry
from bridge.conference.departures import dismiss
from bridge.conference.hall import Hall
from bridge.conference.legs import Leg, Move, Playing
from bridge.conference.occurrences import Occurrence
from bridge.conference.timers import Alarm
from bridge.units import NS_PER_S, LegId

END_KEY: Final = "#"
ANSWER_NS: Final = 2 * NS_PER_S
"""After a name's time the media plane has said so by then, or is not there."""


def arrive(hall: Hall, occurrence: Occurrence, leg: Leg, *, keyed: bool) -> None:
    """Let a leg in, after it was asked for its name where names are wanted.

    `keyed`: it keyed its access code, so a PIN may follow.
    """
    leg.keyed = keyed
    if hall.entry_of(occurrence) is not Entry.NAME:
        _let_in(hall, leg)
        return
    leg.move(Move.NAME)
    hall.play(leg, prompts.SAY_NAME, prompts.BEEP_IN)


def on_prompt_done(hall: Hall, leg: Leg) -> None:
    """Listen to what comes after the tone."""
    leg.playing = Playing.NOTHING
    time_ns = hall.config.name_ns
    hall.order(api.RecordName(leg.id, f"{prompts.CLIP}name/{leg.id}", time_ns))
    hall.arm_real(Alarm.NAME, leg, time_ns + ANSWER_NS)


def on_key(hall: Hall, leg: Leg, key: str) -> bool:
    """Take a key: `#` ends the prompt or the name, any other goes on without one.

    Returns whether the leg is let in, and the key is still to be pressed.
    """
    listening = leg.playing is Playing.NOTHING
    if key == END_KEY and listening:
        hall.order(api.StopName(leg.id))
        return False
    hall.silence(leg)
    if key == END_KEY:
        on_prompt_done(hall, leg)
        return False
    if listening:
        hall.order(api.StopName(leg.id))
    _let_in(hall, leg)
    return True


def on_named(hall: Hall, leg: Leg, clip: str) -> None:
    """Take a leg's name and let it in."""
    leg.name_clip = clip
    _let_in(hall, leg)


def on_no_answer(hall: Hall, leg_id: LegId) -> None:
    """Let a leg in that should have been heard by now."""
    _let_in(hall, hall.legs[leg_id])


def _let_in(hall: Hall, leg: Leg) -> None:
    """Let a leg in, unless the conference was locked or filled meanwhile."""
    hall.disarm(Alarm.NAME, leg.id)
    occurrence = hall.occurrence_of(leg)
    assert occurrence is not None, "a leg has an occurrence once its code was right"
    if fault := rooms.refusal_of(hall, occurrence):
        dismiss(hall, leg, *fault)
    else:
        rooms.let_in(hall, occurrence, leg, keyed=leg.keyed)
