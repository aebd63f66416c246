"""Joins a leg's diary with billing's explanation into its story: one plain structure, JSON.

Either may be missing: the story then says what is not kept. Every moment in it has a conference
time, the real time since the leg began when the bridge saw it, and its place `x` on the axis.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bridge.legstory.axis import Axis
from bridge.legstory.notes import notes_of
from bridge.units import conf_ms_of

Story = dict[str, Any]

RULES: Final[Mapping[str, str]] = {
    "billable": "charged from answer to end, waiting time included (R2, D5, D7)",
    "never_started": "no organizer joined this occurrence, so it is free (R6, D5)",
    "carrier_billed": "toll: the caller pays his own carrier (R1, D5)",
    "included": "VoIP costs nothing extra (R4, D5)",
    "not_admitted": "it was never let in, so it is free (D5)",
    "not_accepted": "1 was not pressed, so it is free (D5, D11)",
    "not_answered": "it was not answered, so it is free (D11)",
}
STATES: Final[Mapping[str, tuple[str, str]]] = {
    "leg.answered": ("prompt", "answered"),
    "leg.waiting": ("waiting", "waiting"),
    "organizer.joined": ("hosting", "hosting"),
    "leg.joined": ("joined", "joined"),
}
"""Where a leg is from a fact on: the kind of its bar and the word for it."""

NOT_OVER: Final = (
    "the leg is not over: its SIP, media and talk are with the running bridge, on its page "
    "/legs/{leg}"
)
NOT_KEPT: Final = (
    "its SIP, media and talk: the bridge keeps those of the latest legs ([diary] legs_max), and "
    "none of a leg that was up when it was killed"
)


def leg_story(
    leg: str, record: Mapping[str, Any] | None, explanation: Mapping[str, Any] | None
) -> Story:
    """Return the story of a leg from its diary and from what billing says of it."""
    facts = list(explanation["facts"]) if explanation else []
    axis = _axis(record, facts)
    mine = record or {}
    seen = mine.get("facts", {})
    shown = [_fact(axis, one, seen.get(one["id"])) for one in facts]
    shown.sort(key=lambda one: (one["conf_ms"], one["x"]))
    about = {**mine.get("about", {}), **_about(shown)}
    story: Story = {
        "leg": leg,
        "who": about.get("name") or about.get("number") or leg,
        "about": about,
        "axis": axis.to_dict(),
        "end": mine.get("over", ""),
        "sip": [_sip(axis, one) for one in mine.get("sip", ())],
        "facts": shown,
        "spans": list(_spans(axis, leg, shown, mine)),
        "holds": list(_holds(axis, mine)),
        "talk": [_span(axis, one) for one in mine.get("talk", ())],
        "heard": [
            {"leg": other, "name": name, "spans": [_span(axis, one) for one in spans]}
            for other, name, spans in mine.get("heard", ())
        ],
        "media": [_media(axis, one) for one in mine.get("media", ())],
        "marks": [
            {**_moment(axis, conf, real), "what": what, "text": text}
            for real, conf, what, text in mine.get("marks", ())
        ],
        "quality": [_quality(axis, one) for one in mine.get("quality", ())],
        "cents": [_cents(part) for part in explanation["parts"]] if explanation else [],
        "open": explanation["open"] if explanation else "",
        "not_kept": _not_kept(leg, record, explanation),
    }
    return {**story, "notes": notes_of(story, mine)}


def _axis(record: Mapping[str, Any] | None, facts: Sequence[Mapping[str, Any]]) -> Axis:
    if record:
        clock = record["clock"]
        real, conf = clock["end"]
        moves = [(one[0], one[1]) for one in clock["moves"]]
        return Axis.of(moves, running=clock["running"], end=(real, conf))
    times = [_conf(one["time"]) for one in facts] or [0]
    return Axis.of([(0.0, times[0])], running=True, end=(times[-1] - times[0], times[-1]))


def _conf(text: str) -> int:
    return conf_ms_of(datetime.fromisoformat(text))


def _moment(axis: Axis, conf_ms: int, real_ms: float | None) -> dict[str, Any]:
    return {
        "conf_ms": conf_ms,
        "since_ms": conf_ms - axis.begin,
        "real_ms": real_ms,
        "x": round(axis.x(conf_ms, real_ms), 5),
    }


def _span(axis: Axis, span: Sequence[Any]) -> dict[str, Any]:
    real0, conf0, real1, conf1 = span
    return {
        "from": _moment(axis, conf0, real0),
        "to": _moment(axis, conf1, real1),
        "lasts_ms": round(real1 - real0),
    }


def _fact(axis: Axis, fact: Mapping[str, Any], real_ms: float | None) -> dict[str, Any]:
    data = {
        key: value
        for key, value in fact["data"].items()
        if value not in ("", None) and key not in ("account", "session")
    }
    moment = _moment(axis, _conf(fact["time"]), real_ms)
    return {**moment, "id": fact["id"], "type": fact["type"], "data": data}


def _about(facts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what facts say of who it is and how he came."""
    found: dict[str, str] = {}
    for fact in facts:
        data = fact["data"]
        if fact["type"] == "leg.answered":
            found["via"] = f"{data.get('kind', '')} {data.get('country', '')}".strip()
            found["dialled"] = str(data.get("did", ""))
            found["number"] = str(data.get("ani", ""))
        elif fact["type"] == "leg.left":
            found["left"] = str(data["reason"])
    return {key: value for key, value in found.items() if value}


def _spans(
    axis: Axis, leg: str, facts: Sequence[Mapping[str, Any]], record: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield where the leg was, one span after the other."""
    now: tuple[str, str, Mapping[str, Any]] | None = None
    for fact in facts:
        if fact["data"].get("leg") != leg:
            continue
        state = STATES.get(fact["type"])
        if fact["type"] == "organizer.joined" and now and now[0] == "joined":
            continue  # who is in already only gets another role
        if state is None and fact["type"] != "leg.left":
            continue
        if now:
            yield _state(*now, fact)
        now = (*state, fact) if state else None
    if now:
        conf = record["clock"]["end"] if record else (None, now[2]["conf_ms"])
        yield _state(*now, _moment(axis, conf[1], conf[0]))


def _state(
    kind: str, text: str, first: Mapping[str, Any], last: Mapping[str, Any]
) -> dict[str, Any]:
    keys = ("conf_ms", "since_ms", "real_ms", "x")
    begin, end = ({key: one[key] for key in keys} for one in (first, last))
    return {"kind": kind, "text": text, "from": begin, "to": end}


def _holds(axis: Axis, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield when the other side had put the call on hold."""
    since: tuple[float, int] | None = None
    for real, conf, _, _, sends, hears, _ in record.get("media", ()):
        held = not (sends and hears)
        if held and since is None:
            since = (real, conf)
        elif not held and since is not None:
            yield _span(axis, (*since, real, conf))
            since = None
    if since is not None:
        yield _span(axis, (*since, *record["clock"]["end"]))


def _sip(axis: Axis, message: Sequence[Any]) -> dict[str, Any]:
    real, conf, sent, peer, text, cseq, media, reason = message
    return {
        **_moment(axis, conf, real),
        "sent": sent,
        "peer": peer,
        "text": text,
        "cseq": cseq,
        "media": media,
        "reason": reason,
    }


def _media(axis: Axis, media: Sequence[Any]) -> dict[str, Any]:
    real, conf, codec, remote, sends, hears, proven = media
    return {
        **_moment(axis, conf, real),
        "codec": codec,
        "remote": remote,
        "sends": sends,
        "hears": hears,
        "proven": proven,
    }


def _quality(axis: Axis, sample: Sequence[Any]) -> dict[str, Any]:
    real, conf, lost, fraction, jitter_ms, rtt_ms, far, late = sample
    return {
        **_moment(axis, conf, real),
        "lost": int(lost),
        "late": int(late),
        "lost_share": fraction,
        "jitter_ms": jitter_ms,
        "round_trip_ms": None if rtt_ms < 0 else rtt_ms,
        "far_lost_share": far,
    }


def _cents(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return one settled part with its rule in words."""
    return {**part, "rule": RULES.get(part["reason"], part["reason"])}


def _not_kept(
    leg: str, record: Mapping[str, Any] | None, explanation: Mapping[str, Any] | None
) -> list[str]:
    found = []
    if record is None:
        left = explanation and any(one["type"] == "leg.left" for one in explanation["facts"])
        found.append(NOT_KEPT if left else NOT_OVER.format(leg=leg))
    elif record["sip_left_out"]:
        found.append(f"{record['sip_left_out']} SIP messages between the first and the last")
    if explanation is None:
        found.append("facts and charges: billing has none of this leg")
    return found
