"""Invitations by mail: one message to each recipient, text, HTML and calendar in one.

Knows RFC 5322 and the mail server's settings; knows no session.
"""

from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import aiosmtplib

from bridge.errors import OperatingTrouble
from bridge.web.invitations import Invitation
from bridge.web_settings import SmtpSettings


class MailUnavailable(OperatingTrouble):
    """The mail server cannot be reached, or will not talk to us."""

    code = "mail_unavailable"


def message(invitation: Invitation, sender: str, recipient: str) -> EmailMessage:
    """Return one invitation as a message."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = recipient
    # A header is one line, also to Unicode: a title may hold U+2028 or U+0085.
    mail["Subject"] = " ".join(invitation.subject.splitlines())
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Content-Language"] = invitation.language
    mail.set_content(invitation.text)
    mail.add_alternative(invitation.html, subtype="html")
    mail.add_alternative(
        invitation.ics, subtype="calendar", params={"method": _method(invitation.ics)}
    )
    return mail


def _method(ics: str) -> str:
    return "CANCEL" if "METHOD:CANCEL" in ics.splitlines() else "REQUEST"


async def send(
    settings: SmtpSettings, invitation: Invitation, recipients: Sequence[str]
) -> dict[str, str]:
    """Send an invitation to each recipient; return whom the server refused, and why.

    Raises:
        MailUnavailable: the server was not reached, or refused us as a whole.
    """
    refused: dict[str, str] = {}
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        timeout=settings.timeout_s,
        use_tls=settings.security == "tls",
        start_tls=settings.security == "starttls",
        username=settings.username or None,
        password=settings.password.get_secret_value() or None,
    )
    try:
        async with client:
            for recipient in recipients:
                try:
                    await client.send_message(message(invitation, settings.sender, recipient))
                except aiosmtplib.SMTPRecipientsRefused as fault:
                    first = fault.recipients[0]
                    refused[recipient] = f"{first.code} {first.message}"
    except (aiosmtplib.SMTPException, OSError) as fault:
        raise MailUnavailable(f"{settings.host}:{settings.port}: {fault}") from fault
    return refused
