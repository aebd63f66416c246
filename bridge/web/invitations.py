"""Invitations as text, HTML and iCalendar (RFC 5545), in the seven languages of R19.

The UID is the session's for ever; SEQUENCE grows when what is said changes (R10). Knows words and
numbers; sends nothing.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final

from babel.dates import format_datetime
from icalendar import Calendar, Event, vCalAddress, vText
from icalendar.prop import vUri

from bridge.session_store import SessionRecord
from bridge.units import utc_of
from bridge.web.numbers import OfferedNumber, country_name

WORDS: Final = Path(__file__).parent / "invitation_words.json"
PRODUCT: Final = "-//tollbridge//conference//EN"
TOLL_SHOWN_MAX: Final = 12
"""Toll numbers are offered in every country; an invitation names the first of these."""

TOLL_FIRST: Final = ("US", "GB", "DE", "FR", "IT", "ES", "PT", "NL", "CA", "AU", "BR", "CH")


@dataclass(frozen=True, slots=True)
class Invitation:
    """One invitation in every form it is sent in."""

    subject: str
    language: str
    text: str
    html: str
    ics: str


@cache
def words(language: str) -> dict[str, str]:
    """Return the fixed texts of a language."""
    found: dict[str, str] = json.loads(WORDS.read_text(encoding="utf-8"))[language]
    return found


def invite(
    record: SessionRecord,
    numbers: Sequence[OfferedNumber],
    *,
    language: str,
    join_url: str,
    sip_uri: str,
    organizer: str,
) -> Invitation:
    """Return the invitation to a session with the numbers that it offers now."""
    lines = _lines(record, _shown(numbers), language, join_url, sip_uri)
    subject = words(language)["subject"].format(title=record.title)
    text = "\n".join(f"{label} {value}".strip() if label else value for label, value in lines)
    return Invitation(
        subject=subject,
        language=language,
        text=text + "\n",
        html=_html(subject, lines, language, join_url),
        ics=_ics(record, subject, text, join_url, organizer),
    )


def _shown(numbers: Sequence[OfferedNumber]) -> list[OfferedNumber]:
    toll = {number.country: number for number in numbers if number.kind == "toll"}
    free = [number for number in numbers if number.kind == "toll_free"]
    return free + [toll[country] for country in TOLL_FIRST if country in toll][:TOLL_SHOWN_MAX]


Line = tuple[str, str]


def _lines(
    record: SessionRecord,
    numbers: Sequence[OfferedNumber],
    language: str,
    join_url: str,
    sip_uri: str,
) -> list[Line]:
    """Return the invitation as pairs of label and value; an empty pair is an empty line."""
    word = words(language)
    spec = record.spec
    lines: list[Line] = [("", word["intro"].format(title=record.title))]
    if spec.opens is not None:
        when = format_datetime(utc_of(spec.opens), "full", tzinfo=None, locale=language)
        lines.append((f"{word['when']}:", when))
    else:
        lines.append((f"{word['when']}:", word["standing"]))
    lines += [("", ""), (f"{word['code']}:", f"{spec.access_code}#"), ("", "")]
    for kind in ("toll_free", "toll"):
        of_kind = [number for number in numbers if number.kind == kind]
        if of_kind:
            lines.append(("", f"{word[kind]}:"))
            for number in of_kind:
                lines.append((f"{country_name(number.country, language)}:", _both(number)))
            lines.append(("", ""))
    lines += [(f"{word['voip']}:", sip_uri), (f"{word['more']}:", join_url)]
    return lines


def _both(number: OfferedNumber) -> str:
    return f"{number.national} / {number.international}"


def _html(subject: str, lines: Sequence[Line], language: str, join_url: str) -> str:
    rows = []
    for label, value in lines:
        shown = html.escape(value)
        if value == join_url:
            shown = f'<a href="{html.escape(value)}">{shown}</a>'
        if label:
            rows.append(f"<p><strong>{html.escape(label)}</strong> {shown}</p>")
        elif value:
            rows.append(f"<p>{shown}</p>")
    title = html.escape(subject)
    head = f'<meta charset="utf-8"><title>{title}</title>'
    return (
        f'<!doctype html>\n<html lang="{language}"><head>{head}</head>'
        f"<body>\n<h1>{title}</h1>\n" + "\n".join(rows) + "\n</body></html>\n"
    )


def _ics(record: SessionRecord, subject: str, text: str, join_url: str, organizer: str) -> str:
    spec = record.spec
    event = Event()
    event.add("uid", f"{spec.id}@tollbridge")
    event.add("sequence", record.sequence + record.cancelled)  # a cancellation is a change
    event.add("dtstamp", utc_of(record.changed_ms).replace(microsecond=0))
    event.add("created", utc_of(record.created_ms).replace(microsecond=0))
    event.add("last-modified", utc_of(record.changed_ms).replace(microsecond=0))
    begins = utc_of(spec.opens if spec.opens is not None else record.created_ms)
    event.add("dtstart", begins.replace(microsecond=0))
    ends = begins + timedelta(hours=1) if spec.closes is None else utc_of(spec.closes)
    event.add("dtend", ends.replace(microsecond=0))
    event.add("summary", subject)
    event.add("description", text)
    event["url"] = vUri(join_url)
    event["location"] = vText(join_url)
    event["organizer"] = vCalAddress(f"mailto:{organizer}")
    event.add("status", "CANCELLED" if record.cancelled else "CONFIRMED")
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", "CANCEL" if record.cancelled else "REQUEST")
    calendar.add_component(event)
    return str(calendar.to_ical(), "utf-8")
