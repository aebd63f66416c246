"""When a conference is recorded (R12): wanted, started, and with somebody in it.

Knows when a recording begins and ends. It must not know files. The waiting room is never in one:
a mix holds only who joined. A room that empties ends the recording; who comes begins the next
part.
"""

from bridge.conference import api, controls, prompts
from bridge.conference.hall import Hall
from bridge.conference.occurrences import Occurrence


def set_recording(hall: Hall, occurrence: Occurrence, *, on: bool, by: str) -> None:
    """Switch the recording of a conference; it begins with the start at the earliest."""
    occurrence.record = on
    apply(hall, occurrence, by=by, reason=controls.reason_of(by), aloud=True)


def apply(hall: Hall, occurrence: Occurrence, *, by: str, reason: str, aloud: bool) -> None:
    """Begin or end a recording when that is due; `aloud` says so to everybody in the mix."""
    due = occurrence.record and occurrence.started and bool(occurrence.mixed)
    if due is occurrence.recording:
        return
    occurrence.recording = due
    if due:
        occurrence.parts += 1
        session, part = occurrence.spec.id, occurrence.parts
        hall.order(api.StartMixRecording(occurrence.id, session, part))
    else:
        hall.order(api.StopMixRecording(occurrence.id))
    name = f"recording.{'started' if due else 'stopped'}"
    hall.room_notice(occurrence, name, by=by, reason=reason, part=occurrence.parts)
    if aloud:
        hall.announce(occurrence, prompts.RECORDING_ON if due else prompts.RECORDING_OFF)


def end(hall: Hall, occurrence: Occurrence, *, reason: str) -> None:
    """End a recording with its conference."""
    occurrence.record = False
    apply(hall, occurrence, by=reason, reason=reason, aloud=False)
