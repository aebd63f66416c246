"""Invitations: seven languages, iCalendar that keeps its UID, and mail that really leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from icalendar import Calendar

from bridge.web.invitations import Invitation
from bridge.web.mail import message
from bridge.web.models import LANGUAGES
from tests.bridge.web.rig import running


class Inbox:
    """A mail server's handler that keeps what it takes, and refuses one recipient."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such person here"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients += envelope.rcpt_tos
        return "250 taken"


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[Inbox, dict[str, Any]]]:
    """Run a real SMTP server on this loop; give the [smtp] settings that lead to it."""
    handler = Inbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, loop=loop), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = {"host": "127.0.0.1", "port": port, "security": "none", "timeout_s": 5}
    try:
        yield handler, settings | {"sender": "bridge@example.com"}
    finally:
        server.close()
        await server.wait_closed()


async def event_of(ics: str) -> Any:
    calendar = await asyncio.to_thread(Calendar.from_ical, ics)
    return calendar.walk("VEVENT")[0]


async def test_the_uid_stays_and_the_sequence_grows_when_numbers_change(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        window = {"opens": "2026-12-01T15:00:00+01:00", "closes": "2026-12-01T16:00:00+01:00"}
        made = (await rig.ask("POST", "/sessions", {"title": "Budget; Q4, final", **window})).json()
        path = f"/sessions/{made['id']}/invitation?format=ics"
        before = await event_of((await rig.ask("GET", path)).text)
        await rig.ask("PATCH", f"/sessions/{made['id']}", {"toll_free": ["FR"]})
        answer = await rig.ask("GET", path)
        after = await event_of(answer.text)
        assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
        assert after["UID"] == before["UID"] == f"{made['id']}@tollbridge"
        assert (int(before["SEQUENCE"]), int(after["SEQUENCE"])) == (0, 1)
        assert after.decoded("DTSTART").isoformat() == "2026-12-01T14:00:00+00:00"
        assert after.decoded("DTEND").isoformat() == "2026-12-01T15:00:00+00:00"
        assert str(after["SUMMARY"]) == "Invitation: Budget; Q4, final"
        assert made["access_code"] in str(after["DESCRIPTION"])
        await rig.ask("POST", f"/sessions/{made['id']}/cancel")
        cancelled = (await rig.ask("GET", path)).text
        assert "METHOD:CANCEL" in cancelled
        assert str((await event_of(cancelled))["STATUS"]) == "CANCELLED"
        assert int((await event_of(cancelled))["SEQUENCE"]) == 2, "a cancellation is a change"


async def test_each_language_says_it_in_its_own_words_with_the_same_numbers(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        made = (
            await rig.ask(
                "POST", "/sessions", {"title": "<b>Q4</b>", "toll_free": ["DE"], "language": "de"}
            )
        ).json()
        path = f"/sessions/{made['id']}/invitation"
        texts = {}
        for language in LANGUAGES:
            found = (await rig.ask("GET", f"{path}?language={language}")).json()
            assert found["language"] == language
            assert made["access_code"] in found["text"]
            assert made["organizer_pin"] not in found["text"] + found["html"] + found["ics"]
            assert "+49 800 1234567890" in found["text"]
            assert "<b>" not in found["html"], "a title is text"
            texts[language] = found["text"]
        assert len(set(texts.values())) == len(LANGUAGES) == 7
        assert (await rig.ask("GET", f"{path}?format=text")).text == texts["de"], "its own language"
        assert "Deutschland" in texts["de"]
        assert "Duitsland" in texts["nl"]


async def test_mail_reaches_a_real_server_in_text_html_and_calendar(
    tmp_path: Path,
) -> None:
    async with mail_server() as (taken, smtp), running(tmp_path, smtp=smtp) as rig:
        to = ["ann@example.com", "nobody@example.com", "ben@example.com"]
        answer = await rig.ask("POST", "/sessions/s1/invitation", {"to": to, "language": "fr"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["sent"] == ["ann@example.com", "ben@example.com"]
        assert answer.json()["refused"]["nobody@example.com"].startswith("550")
        assert taken.recipients == ["ann@example.com", "ben@example.com"]
        mail = taken.mails[0]
        assert (mail["To"], mail["From"]) == ("ann@example.com", "bridge@example.com")
        assert mail["Subject"] == "Invitation : s1"
        kinds = [part.get_content_type() for part in mail.walk() if not part.is_multipart()]
        assert kinds == ["text/plain", "text/html", "text/calendar"]
        calendar = next(p for p in mail.walk() if p.get_content_type() == "text/calendar")
        assert calendar.get_param("method") == "REQUEST"
        assert isinstance(calendar, EmailMessage)
        assert str((await event_of(calendar.get_content()))["UID"]) == "s1@tollbridge"


async def test_a_mail_server_that_is_not_there_is_503_and_the_bridge_goes_on(
    tmp_path: Path,
) -> None:
    smtp = {"host": "127.0.0.1", "port": 9, "security": "none", "timeout_s": 2}
    async with running(tmp_path, smtp=smtp) as rig:
        answer = await rig.ask("POST", "/sessions/s1/invitation", {"to": ["ann@example.com"]})
        assert (answer.status_code, answer.json()["code"]) == (503, "mail_unavailable")
        assert (await rig.ask("GET", "/sessions/s1")).status_code == 200


def test_a_title_is_one_line_of_a_header_and_no_method() -> None:
    ics = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:METHOD:CANCEL\r\nEND:VCALENDAR\r\n"
    title = "one\u2028two\x85METHOD:CANCEL"
    made = message(Invitation(title, "en", "text", "<p>html</p>", ics), "a@b", "c@d")
    assert made["Subject"] == "one two METHOD:CANCEL"
    (calendar,) = (p for p in made.walk() if p.get_content_type() == "text/calendar")
    assert calendar.get_param("method") == "REQUEST"
