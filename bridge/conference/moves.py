"""Taking a leg from one conference into another of the same account.

Knows what a leg leaves behind and how it is let in again. Its facts go on naming the session and
occurrence it was identified with: there it is settled, whatever it is moved to (D5).
"""

from bridge.conference import api, controls, departures, rooms
from bridge.conference.api import LegState, Role, SessionSpec
from bridge.conference.hall import Hall
from bridge.conference.legs import Leg
from bridge.conference.sessions import is_open
from bridge.conference.timers import Alarm

MOVED = "moved"


def fault_of(hall: Hall, leg: Leg, spec: SessionSpec) -> tuple[str, str]:
    """Return the code and message of what forbids a move, two empty texts if nothing does."""
    occurrence = hall.open.get(spec.id)
    if leg.state not in (LegState.WAITING, LegState.JOINED):
        return "not_let_in", f"leg {leg.id} is neither waiting nor joined"
    if leg.account != spec.account:
        return "other_account", f"session {spec.id} is another account's"
    if not is_open(spec, hall.at.conf_ms):
        return "session_closed", f"session {spec.id} is outside its time window"
    if leg.session == spec.id or occurrence is None:
        return "", ""
    if occurrence.locked:
        return "locked", f"session {spec.id} is locked"
    if len(occurrence.admitted) >= rooms.seats_of(hall, occurrence):
        return "full", f"session {spec.id} is full"
    return "", ""


def move(hall: Hall, leg: Leg, spec: SessionSpec, *, by: str) -> None:
    """Take a leg out of its conference and let it into another, as a participant."""
    if leg.session == spec.id:
        return
    before = leg.session
    hall.disarm(Alarm.WAITING, leg.id)
    if leg.state is LegState.JOINED:
        hall.order(api.LeaveMix(leg.id))
        controls.set_talking(hall, leg, talking=False)
    controls.on_freed(hall, leg, by=MOVED)
    departures.vacate(hall, leg)
    leg.role, leg.pin_tries, leg.hands_over = Role.PARTICIPANT, 0, False
    hall.leg_notice(leg, "participant.moved", by=by, reason="order", to=spec.id, **{"from": before})
    occurrence = rooms.enter_occurrence(hall, leg, spec)
    rooms.let_in(hall, occurrence, leg, keyed=False)
