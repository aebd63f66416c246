"""Keys of a leg in the waiting room or the conference: PINs and controls (D20).

Knows what each control does. It must not know how keys become a PIN or a control.
"""

from collections.abc import Callable, Mapping
from typing import Final

from bridge.conference import controls, departures, guesses, prompts, rooms, tapes
from bridge.conference.api import LegState, Role
from bridge.conference.entry import ControlKeyed, Keyed, PinKeyed, Stage
from bridge.conference.hall import Hall
from bridge.conference.legs import Leg, Playing
from bridge.conference.occurrences import Occurrence
from bridge.conference.sessions import pin_matches
from bridge.conference.timers import Alarm
from bridge.units import LegId

NAMES_MAX: Final = 50
"""Names that a roll call plays; the number of people says how many there are."""


def room_key(hall: Hall, leg: Leg, key: str) -> None:
    """Take one key of an admitted leg."""
    if leg.state is LegState.WAITING:
        rooms.touch(hall, leg)
    elif leg.playing is Playing.PROMPT:
        hall.silence(leg)
    keyed = leg.collector.press(key, hall.at.now_ns)
    _arm_pause(hall, leg)
    _take(hall, leg, keyed)


def on_key_pause(hall: Hall, leg_id: LegId) -> None:
    """Take what was keyed before the pause."""
    leg = hall.legs[leg_id]
    _take(hall, leg, leg.collector.pause())


def _arm_pause(hall: Hall, leg: Leg) -> None:
    """Wait for the next key as long as what was keyed allows."""
    if not leg.collector.pending:
        hall.disarm(Alarm.KEYS, leg.id)
        return
    lone_control = leg.collector.stage is Stage.OPEN_DIGIT
    config = hall.config
    pause = config.control_pause_ns if lone_control else config.key_timeout_ns
    hall.arm_real(Alarm.KEYS, leg, pause)


def _take(hall: Hall, leg: Leg, keyed: Keyed | None) -> None:
    if isinstance(keyed, PinKeyed):
        _try_pin(hall, leg, keyed)
    elif isinstance(keyed, ControlKeyed):
        _use(hall, leg, hall.controls.get(keyed.keys, ""))


def _use(hall: Hall, leg: Leg, name: str) -> None:
    """Carry out a control, if there is one of that name for who keyed it."""
    occurrence = hall.occurrence_of(leg)
    assert occurrence is not None, "only admitted legs have controls"
    control = CONTROLS.get(name)
    if control is None and leg.role is Role.ORGANIZER:
        control = ORGANIZER_CONTROLS.get(name)
    if control is not None:
        control(hall, leg, occurrence)


def _try_pin(hall: Hall, leg: Leg, keyed: PinKeyed) -> None:
    """Make the leg an organizer's if the PIN is right; three wrong ones, and it is not heard."""
    if leg.role is Role.ORGANIZER or leg.pin_tries >= hall.config.code_tries:
        return
    if not guesses.must_wait(hall, leg, keyed):
        judge_pin(hall, leg, keyed)


def judge_pin(hall: Hall, leg: Leg, keyed: PinKeyed) -> None:
    """Make the leg an organizer's if the PIN is right, and count one that is wrong."""
    occurrence = hall.occurrence_of(leg)
    assert occurrence is not None, "only admitted legs key PINs"
    right = pin_matches(occurrence.spec, keyed.readings)
    if right and guesses.is_open(hall, leg, occurrence, guesses.PIN):
        rooms.make_organizer(hall, leg)
        return
    leg.pin_tries += 1
    guesses.wrong_secret(hall, leg, occurrence, guesses.PIN)
    hall.play(leg, prompts.BAD_PIN)


# --- controls -----------------------------------------------------------------------------


def _toggle_mute(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    if leg.muted and not controls.may_unmute(hall, leg):
        hall.play(leg, prompts.LECTURE_MUTED)
        return
    by = leg.role.value
    controls.set_muted(hall, leg, muted=not leg.muted, by=by, reason=controls.SELF)
    hall.play(leg, prompts.MUTED if leg.muted else prompts.UNMUTED)


def _toggle_hand(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    if leg.role is Role.PARTICIPANT:
        controls.set_hand(hall, leg, raised=not leg.hand_raised, by=leg.role.value)
        hall.play(leg, prompts.HAND_RAISED if leg.hand_raised else prompts.HAND_LOWERED)


def _help(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    organizer = leg.role is Role.ORGANIZER
    hall.play(leg, prompts.HELP_ORGANIZER if organizer else prompts.HELP)


def _roll_call(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    if occurrence.started:
        names = [one.name_clip for one in occurrence.mixed.values() if one.name_clip]
        count = prompts.number(len(occurrence.mixed))
        hall.play(leg, prompts.PEOPLE, *count, *names[:NAMES_MAX])
    else:  # who waits hears nobody, not even a name (D3)
        hall.play(leg, prompts.PEOPLE, *prompts.number(len(occurrence.admitted)))


def _start(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    if not occurrence.started:
        rooms.start(hall, occurrence, rooms.BY_ORGANIZER)


def _hand_over(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    departures.hand_over(hall, leg)


def _toggle_lock(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    locked = not occurrence.locked
    controls.set_locked(hall, occurrence, locked=locked, by=controls.ORGANIZER)
    hall.play(leg, prompts.NOW_LOCKED if locked else prompts.NOW_UNLOCKED)


def _toggle_mute_all(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    muted = not occurrence.mute_all
    controls.mute_all(hall, occurrence, muted=muted, by=controls.ORGANIZER)
    if not occurrence.mixed:  # else everybody hears it
        hall.play(leg, prompts.ALL_MUTED if muted else prompts.ALL_UNMUTED)


def _toggle_lecture(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    on = not occurrence.lecture
    controls.set_lecture(hall, occurrence, on=on, by=controls.ORGANIZER)
    if not occurrence.mixed:
        hall.play(leg, prompts.LECTURE_ON if on else prompts.LECTURE_OFF)


def _toggle_recording(hall: Hall, leg: Leg, occurrence: Occurrence) -> None:
    if not hall.config.recording:
        return
    on = not occurrence.record
    tapes.set_recording(hall, occurrence, on=on, by=controls.ORGANIZER)
    if not occurrence.mixed:
        hall.play(leg, prompts.RECORDING_ON if on else prompts.RECORDING_OFF)


CONTROLS: Final[Mapping[str, Callable[[Hall, Leg, Occurrence], None]]] = {
    "mute": _toggle_mute,
    "raise_hand": _toggle_hand,
    "roll_call": _roll_call,
    "help": _help,
}
"""What each control of everybody does."""

ORGANIZER_CONTROLS: Final[Mapping[str, Callable[[Hall, Leg, Occurrence], None]]] = {
    "start": _start,
    "leave": _hand_over,
    "lock": _toggle_lock,
    "mute_all": _toggle_mute_all,
    "lecture": _toggle_lecture,
    "record": _toggle_recording,
}
"""What each control of an organizer does. On another's phone these keys do nothing, as do keys
that are no control."""
