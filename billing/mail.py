"""Finalized invoices by e-mail; marked only after the mail server took them."""

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import sqlalchemy as sa

from billing.book import Books
from billing.invoice import FINALIZED, Invoice
from billing.ledger import Ledger
from billing.page import invoice_page
from billing.paper import PdfMissing, to_html, to_pdf, to_plain
from billing.settings import SmtpConfig
from billing.speech import Speech
from billing.store import Store
from billing.tables import invoices
from billing.times import month_text, now_ms

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Mailed:
    """What became of one invoice's mail; `error` is empty when it was sent."""

    number: str
    to: str
    error: str


def mail_due(store: Store, books: Books, ledger: Ledger) -> list[Mailed]:
    """Send every finalized invoice that waits for it, oldest first."""
    with store.read() as connection:
        book = books.current(connection)
        smtp = book.settings.smtp
        waiting = sa.select(invoices.c.no, invoices.c.account, invoices.c.month, invoices.c.number)
        rows = connection.execute(
            waiting.where(invoices.c.status == FINALIZED, invoices.c.mailed_ms.is_(None)).order_by(
                invoices.c.no
            )
        ).all()
    if smtp is None:
        return []
    done: list[Mailed] = []
    for no, account, month, number in rows:
        to = book.timelines[account].segments[-1].account.billing_email
        found = next(i for i in ledger.invoices(account, month) if i.number == number)
        error = ""
        try:
            _send(smtp, message(found, smtp.sender, to))
        except (OSError, smtplib.SMTPException) as fault:
            error = f"{type(fault).__name__}: {fault}"
        else:
            with store.write() as connection:
                mark = sa.update(invoices).where(invoices.c.no == no)
                connection.execute(mark.values(mailed_ms=now_ms()))
        done.append(Mailed(number, to, error))
    return done


def message(invoice: Invoice, sender: str, to: str) -> EmailMessage:
    """Return an invoice as a mail: text, with the PDF (or HTML) and the CSV of all lines.

    Its Message-ID is made of the number, so that one that is sent twice is known as the same.
    """
    say = Speech(invoice.language, invoice.currency, invoice.time_zone)
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, to
    mail["Subject"] = (
        f"{say['invoice']} {invoice.number}: {invoice.label}, {month_text(invoice.month)}"
    )
    domain = sender.rpartition("@")[2].strip("> ") or "localhost"
    mail["Message-ID"] = f"<invoice-{invoice.number}@{domain}>"
    page = invoice_page(invoice)
    mail.set_content(to_plain(page))
    name = f"{invoice.number}"
    try:
        mail.add_attachment(
            to_pdf(page), maintype="application", subtype="pdf", filename=f"{name}.pdf"
        )
    except PdfMissing:
        mail.add_attachment(to_html(page), subtype="html", filename=f"{name}.html")
    mail.add_attachment(invoice.to_csv(), subtype="csv", filename=f"{name}.csv")
    return mail


def _send(config: SmtpConfig, mail: EmailMessage) -> None:
    context = ssl.create_default_context()
    connect: smtplib.SMTP
    if config.security == "tls":
        connect = smtplib.SMTP_SSL(config.host, config.port, timeout=TIMEOUT_S, context=context)
    else:
        connect = smtplib.SMTP(config.host, config.port, timeout=TIMEOUT_S)
    with connect as server:
        if config.security == "starttls":
            server.starttls(context=context)
        if config.user:
            secret = Path(config.password_file).read_text(encoding="utf-8").strip()
            server.login(config.user, secret)
        server.send_message(mail)
