"""Finalized invoices go to the billing address, and are marked only when they were taken."""

import email
import email.policy
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from billing import AccountConfig, Billing, BillingSettings
from billing.settings import SmtpConfig
from tests.billing.test_bills import b1


@contextmanager
def mail_server(taken: list[bytes], *, refuse: bool = False) -> Iterator[int]:
    """Speak just enough SMTP (RFC 5321) to take one mail a connection, or refuse it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as file:
                _talk(file, taken, refuse=refuse)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _talk(file: object, taken: list[bytes], *, refuse: bool) -> None:
    import typing

    stream = typing.cast(typing.IO[bytes], file)

    def say(text: str) -> None:
        stream.write(text.encode() + b"\r\n")
        stream.flush()

    say("220 test")
    while line := stream.readline():
        verb = line[:4].upper()
        if verb == b"DATA" and not refuse:
            say("354 go on")
            body = b""
            while (part := stream.readline()) != b".\r\n":
                body += part
            taken.append(body)
            say("250 taken")
        elif verb == b"QUIT":
            say("221 bye")
            return
        else:
            say("451 not now" if refuse and verb in (b"DATA", b"MAIL") else "250 fine")


def configure(billing: Billing, port: int) -> None:
    account = AccountConfig(
        id="acme",
        contract="c1",
        time_zone="America/New_York",
        billing_email="pay@acme.test",
        language="de",
    )
    smtp = SmtpConfig(host="127.0.0.1", port=port, sender="Billing <bills@example.test>")
    billing.configure([], [account], BillingSettings(smtp=smtp))


def test_a_finalized_invoice_is_mailed_once(billing: Billing) -> None:
    taken: list[bytes] = []
    with mail_server(taken) as port:
        configure(billing, port)
        billing.ingest(b1().events)
        billing.finalize("acme", "2026-02")
        assert [(m.number, m.to, m.error) for m in billing.mail_due()] == [
            ("EU-000001", "pay@acme.test", "")
        ]
        assert billing.mail_due() == []
    mail = email.message_from_bytes(taken[0], policy=email.policy.default)
    assert mail["Subject"] == "Rechnung EU-000001: Toll-Free and Call Me, 2026-02"
    assert mail["Message-ID"] == "<invoice-EU-000001@example.test>"
    parts = {part.get_filename(): part for part in mail.iter_attachments()}
    assert set(parts) == {"EU-000001.pdf", "EU-000001.csv"}
    assert parts["EU-000001.pdf"].get_content().startswith(b"%PDF")
    assert "leg-a" in parts["EU-000001.csv"].get_content()


def test_a_mail_server_that_refuses_is_tried_again(billing: Billing) -> None:
    taken: list[bytes] = []
    with mail_server(taken, refuse=True) as port:
        configure(billing, port)
        billing.ingest(b1().events)
        billing.finalize("acme", "2026-02")
        assert "451" in billing.mail_due()[0].error
    with mail_server(taken) as port:
        configure(billing, port)
        assert billing.mail_due()[0].error == ""
    assert len(taken) == 1


def test_without_smtp_nothing_waits(billing: Billing) -> None:
    billing.ingest(b1().events)
    billing.finalize("acme", "2026-02")
    assert billing.mail_due() == []
    taken: list[bytes] = []
    with mail_server(taken) as port:
        configure(billing, port)
        assert billing.mail_due() == []
