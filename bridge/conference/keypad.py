"""Keys of a leg in the waiting room or the conference: PINs and controls (D20).

Knows what each control does. It must not know how keys become a PIN or a control.
"""

from collections.abc import Callable, Mapping
from typing import Final

from bridge.conference import api, departures, prompts, rooms
from bridge.conference.api import LegState, Role
from bridge.conference.entry import ControlKeyed, Keyed, PinKeyed, Stage
from bridge.conference.hall import Hall
from bridge.conference.legs import Leg, Playing
from bridge.conference.sessions import pin_matches
from bridge.conference.timers import Alarm
from bridge.units import LegId


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
        control = CONTROLS.get(keyed.keys)
        if control is not None:
            control(hall, leg)


def _try_pin(hall: Hall, leg: Leg, keyed: PinKeyed) -> None:
    """Make the leg an organizer's if the PIN is right; three wrong ones, and it is not heard."""
    if leg.role is Role.ORGANIZER or leg.pin_tries >= hall.config.code_tries:
        return
    assert leg.session is not None
    if pin_matches(hall.open[leg.session].spec, keyed.readings):
        rooms.make_organizer(hall, leg)
        return
    leg.pin_tries += 1
    hall.play(leg, prompts.BAD_PIN)


# --- controls -----------------------------------------------------------------------------


def set_muted(hall: Hall, leg: Leg, *, muted: bool) -> None:
    """Mute or unmute a leg. A leg not let in yet takes the setting along (D3)."""
    changed = leg.muted is not muted
    leg.muted = muted
    if changed and leg.state in (LegState.WAITING, LegState.JOINED):
        hall.order(api.SetLegMuted(leg.id, muted))


def _toggle_mute(hall: Hall, leg: Leg) -> None:
    set_muted(hall, leg, muted=not leg.muted)
    hall.play(leg, prompts.MUTED if leg.muted else prompts.UNMUTED)


def _help(hall: Hall, leg: Leg) -> None:
    hall.play(leg, prompts.HELP)


def _start(hall: Hall, leg: Leg) -> None:
    assert leg.session is not None
    occurrence = hall.open[leg.session]
    if leg.role is Role.ORGANIZER and not occurrence.started:
        rooms.start(hall, occurrence, rooms.BY_ORGANIZER)


def _hand_over(hall: Hall, leg: Leg) -> None:
    if leg.role is Role.ORGANIZER:
        departures.hand_over(hall, leg)


CONTROLS: Final[Mapping[str, Callable[[Hall, Leg], None]]] = {
    "*1": _start,
    "*2": _toggle_mute,
    "*#": _help,
    "#2": _hand_over,
}
"""What each control does. Keys that are none, and an organizer's controls on another's phone,
do nothing."""
