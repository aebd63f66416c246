"""What one caller's SIP must have been: which messages, in which sequence, how often.

Pure: reads the messages that went over his phone's socket, as they were.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field, model_validator

from bridge.lab.capture import Packet
from bridge.lab.words import Claim, either, fault, known_word, like
from bridge.legstory.sipline import line_of

METHODS: Final = (
    *("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "PRACK", "INFO", "REFER"),
    *("REGISTER", "NOTIFY", "SUBSCRIBE", "MESSAGE"),
)
HOWTO: Final = "write INVITE, 200, 4xx, 200 to BYE, sends BYE or gets BYE"
SHOWN_MAX: Final = 60
_WORD: Final = re.compile(
    r"(?:(sends|gets) )?(?:([A-Za-z]+)|([1-6](?:\d\d|xx))(?: to ([A-Za-z]+))?)"
)
_FORMAT: Final = re.compile(rb"\nm=audio \d+ \S+ (\d{1,3})")
_PTIME: Final = re.compile(rb"\na=ptime:(\d{1,3})")
_STATIC: Final = {"0": "PCMU", "3": "GSM", "8": "PCMA", "9": "G722", "18": "G729"}
CODEC_NAMES: Final = (*_STATIC.values(), "L16", "OPUS")


_METHOD: Final = f"(?:{'|'.join(METHODS)})"
WordSpelt = Annotated[int, Field(ge=100, le=699)] | like(
    rf"(?:(?:sends|gets) )?(?:{_METHOD}|[1-6](?:\d\d|xx)(?: to {_METHOD})?)"
)


def _word(value: Any) -> str:
    text = " ".join(str(value).split())
    match = _WORD.fullmatch(text)
    if not match:
        raise fault(f"{text!r} is no SIP message: {HOWTO}")
    for method in (match[2], match[4]):
        if method:
            known_word(method, METHODS, "SIP method")
    return text


Word = Annotated[str, BeforeValidator(_word, json_schema_input_type=WordSpelt)]
"""A message as stories write it: `INVITE`, `200`, `4xx`, `gets 200 to BYE`."""


def _times(value: Any) -> Any:
    if isinstance(value, dict):
        return {_word(key): count for key, count in value.items()}
    return value


def _codec_name(value: Any) -> str:
    return known_word(str(value), CODEC_NAMES, "codec")


def _ptime_ms(value: Any) -> Any:
    match = re.fullmatch(r"(\d{2})ms", str(value))
    if not match:
        raise fault(f"{value!r} is no length of a packet: write 20ms")
    return int(match[1])


class Ladder(Claim):
    """What one caller's SIP must have been.

    Attributes:
        in_order: these messages, in this sequence; others may lie between.
        never: none of these.
        times: each so often, no more and no less; the same one sent again counts again.
        status: of the final answer to the last INVITE.
        codec, ptime: what the last SDP of the bridge says; milliseconds in a packet.
        reason: stands in a Reason header of the bridge.
    """

    in_order: tuple[Word, ...] = ()
    never: tuple[Word, ...] = ()
    times: Annotated[
        dict[str, Annotated[int, Field(ge=0, le=10_000)]],
        BeforeValidator(_times, json_schema_input_type=dict[str, int]),
    ] = Field(default_factory=dict)
    status: Annotated[int, Field(ge=200, le=699)] | None = None
    codec: (
        Annotated[str, BeforeValidator(_codec_name, json_schema_input_type=either(CODEC_NAMES))]
        | None
    ) = None
    ptime: (
        Annotated[int, BeforeValidator(_ptime_ms, json_schema_input_type=like(r"\d{2}ms"))] | None
    ) = None
    reason: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _says(self) -> "Ladder":
        if not self.model_fields_set:
            raise fault("says nothing: give in_order, never, times, status, codec, ptime or reason")
        return self


def read_ladder(value: Any) -> Any:
    """Return a ladder as stories write it: a list is the messages in order."""
    return {"in_order": value} if isinstance(value, list) else value


LadderText = Annotated[
    Ladder, BeforeValidator(read_ladder, json_schema_input_type=Ladder | list[Word])
]


class Message(NamedTuple):
    """One SIP message at a caller's phone."""

    sent: bool
    text: str
    cseq: str
    reason: str
    data: bytes

    @property
    def status(self) -> str:
        """Its status, "" of a request."""
        return self.text[:3] if self.text[:3].isdigit() else ""

    @property
    def shown(self) -> str:
        """It as stories write it."""
        what = f"{self.status} to {self.cseq.partition(' ')[2]}" if self.status else self.method
        return f"{'sends' if self.sent else 'gets'} {what}"

    @property
    def method(self) -> str:
        """Its method, "" of a response."""
        return "" if self.status else self.text.partition(" ")[0]

    def fits(self, word: str) -> bool:
        """Return whether a story's word means it."""
        match = _WORD.fullmatch(word)
        assert match is not None, "the model takes only such words"
        way, method, status, to = match.groups()
        if way and (way == "sends") is not self.sent:
            return False
        if method:
            return self.method == method
        same = self.status == status or (status.endswith("xx") and self.status[:1] == status[0])
        return bool(self.status) and same and (not to or self.cseq.endswith(f" {to}"))


def messages_of(packets: Sequence[Packet]) -> list[Message]:
    """Return the SIP messages of what went over a phone's socket."""
    result = []
    for packet in packets:
        line = line_of(packet.payload)
        result.append(Message(packet.sent, line.text, line.cseq, line.reason, packet.payload))
    return result


class Judged(NamedTuple):
    """One part of a ladder, judged."""

    key: str
    ok: bool
    expected: str
    observed: str


def judged(wanted: Ladder, messages: Sequence[Message]) -> list[Judged]:
    """Return the verdict on each part of a ladder that was given, with what was seen instead."""
    seen = _seen(messages)
    return [Judged(key, *_JUDGES[key](wanted, messages, seen)) for key in keys_of(wanted)]


def keys_of(wanted: Ladder) -> list[str]:
    """Return which parts of a ladder are judged."""
    return sorted(wanted.model_fields_set)


def _seen(messages: Sequence[Message]) -> str:
    shown = ", ".join(message.shown for message in messages[:SHOWN_MAX])
    more = len(messages) - SHOWN_MAX
    return (shown or "no message") + (f" and {more} more" if more > 0 else "")


Outcome = tuple[bool, str, str]


def _in_order(wanted: Ladder, messages: Sequence[Message], seen: str) -> Outcome:
    found = 0
    for message in messages:
        found += found < len(wanted.in_order) and message.fits(wanted.in_order[found])
    ok = found == len(wanted.in_order)
    missing = "" if ok else f"no {wanted.in_order[found]} after the first {found} of them: "
    return ok, ", ".join(wanted.in_order), missing + seen


def _never(wanted: Ladder, messages: Sequence[Message], seen: str) -> Outcome:
    there = [word for word in wanted.never if any(message.fits(word) for message in messages)]
    text = f"{', '.join(there)} came: {seen}" if there else "none"
    return not there, f"none of {', '.join(wanted.never)}", text


def _often(wanted: Ladder, messages: Sequence[Message], seen: str) -> Outcome:
    counts = {word: sum(message.fits(word) for message in messages) for word in wanted.times}
    expected = ", ".join(f"{word} {count} times" for word, count in wanted.times.items())
    observed = ", ".join(f"{word} {count} times" for word, count in counts.items())
    return counts == wanted.times, expected, f"{observed}: {seen}"


def _status(wanted: Ladder, messages: Sequence[Message], seen: str) -> Outcome:
    final = [one.status for one in messages if one.fits("2xx to INVITE") or _refuses(one)]
    last = final[-1] if final else ""
    return last == str(wanted.status), str(wanted.status), f"{last or 'no final answer'}: {seen}"


def _refuses(message: Message) -> bool:
    return message.status >= "300" and message.cseq.endswith(" INVITE")


def _codec(wanted: Ladder, messages: Sequence[Message], _: str) -> Outcome:
    data = _last_sdp(messages)
    found = _FORMAT.search(data)
    number = found[1].decode() if found else ""
    named = re.search(rb"\na=rtpmap:%b ([^/\r\n]+)/" % number.encode(), data) if found else None
    name = named[1].decode().upper() if named else _STATIC.get(number, number)
    return name == wanted.codec, str(wanted.codec), name or "no SDP of the bridge"


def _ptime(wanted: Ladder, messages: Sequence[Message], _: str) -> Outcome:
    data = _last_sdp(messages)
    found = _PTIME.search(data)
    observed = f"{int(found[1])} ms" if found else "no ptime" if data else "no SDP of the bridge"
    return bool(found and int(found[1]) == wanted.ptime), f"{wanted.ptime} ms", observed


def _last_sdp(messages: Sequence[Message]) -> bytes:
    sdp = [one.data for one in messages if not one.sent and b"\nm=audio " in one.data]
    return sdp[-1] if sdp else b""


def _reason(wanted: Ladder, messages: Sequence[Message], _: str) -> Outcome:
    given = [one.reason for one in messages if one.reason and not one.sent]
    ok = any(str(wanted.reason) in reason for reason in given)
    return ok, str(wanted.reason), "; ".join(given) or "no Reason header of the bridge"


_JUDGES: Final[Mapping[str, Callable[[Ladder, Sequence[Message], str], Outcome]]] = {
    "in_order": _in_order,
    "never": _never,
    "times": _often,
    "status": _status,
    "codec": _codec,
    "ptime": _ptime,
    "reason": _reason,
}
