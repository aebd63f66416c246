"""`Billing`: the one door of this package; it joins the parts and decides nothing itself."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any, Final

import sqlalchemy as sa

from billing.book import Books
from billing.cards import rate_card
from billing.closing import Closing
from billing.config import AccountConfig, ContractConfig
from billing.dead_letters import DeadLetter, counts, drop, listed
from billing.decisions import Clash, Decision, choose, clashes, decided, dismiss
from billing.errors import BillingInputError
from billing.explain import Explanation, explain
from billing.ingest import BULK_BATCH, LIVE_BATCH, IngestReport, Intake
from billing.invoice import Invoice
from billing.ledger import Ledger
from billing.mail import Mailed, mail_due
from billing.outbox import drain, shared_with_a_bridge
from billing.problems import Problem, open_problems, retry
from billing.pump import SinkState, push, push_dead, rewind
from billing.replay import replay
from billing.report import UsageReport, usage_report
from billing.settings import BillingSettings
from billing.settler import BULK_CHUNK, LIVE_CHUNK, Settler
from billing.store import Store, undisturbed
from billing.stream import export
from billing.tables import config
from billing.times import instant_of, now_ms, parse_month

__all__ = ["Billing", "IngestReport"]


class Billing:
    """Usage facts in, settled usage, charges and invoices out, over one store.

    `url` is SQLAlchemy's: `sqlite:///file.db`, which a bridge may share, or PostgreSQL. The
    schema is created or upgraded when it is not current. With `must_exist` a missing SQLite file
    is an error instead of a new database. With `bulk` transactions are larger: faster, but each
    keeps other writers waiting for seconds; so a file that a bridge shares is spared it.
    """

    def __init__(self, url: str, *, must_exist: bool = False, bulk: bool = False) -> None:
        self._store = Store(url, must_exist=must_exist, bulk=bulk)
        bulk = bulk and not shared_with_a_bridge(self._store)
        self._batch: Final = BULK_BATCH if bulk else LIVE_BATCH
        self._chunk: Final = BULK_CHUNK if bulk else LIVE_CHUNK
        self._undisturbed = undisturbed if bulk else nullcontext
        self._books = Books(self._store)
        self._intake = Intake(self._store)
        self._settler = Settler(self._store, self._books)
        self._ledger = Ledger(self._store, self._books)
        self._closing = Closing(self._store, self._books, self._ledger)

    def configure(
        self,
        contracts: Iterable[ContractConfig],
        accounts: Iterable[AccountConfig],
        settings: BillingSettings | None = None,
    ) -> bool:
        """Store contracts, accounts and settings; what is not named stays. True if any changed.

        A version with `valid_from` is added beside the others. One without holds from the
        beginning, and cannot change any more once a month was finalized under it.
        """
        return self._books.configure(contracts, accounts, settings)

    def accounts(self) -> list[str]:
        """Return the ids of the configured accounts."""
        with self._store.read() as connection:
            select = sa.select(config.c.id).where(config.c.kind == "account").distinct()
            return sorted(connection.scalars(select))

    def ingest(self, events: Iterable[Mapping[str, Any]]) -> IngestReport:
        """Store CloudEvents; in any order, each any number of times. Never raises for bad data."""
        with self._undisturbed():
            return self._intake.take(events, batch=self._batch)

    def ingest_lines(self, lines: Iterable[str | bytes]) -> IngestReport:
        """Store CloudEvents given as JSON text, one a line; empty lines are skipped."""
        full = (line for line in lines if line and not line.isspace())
        with self._undisturbed():
            return self._intake.take(full, batch=self._batch)

    def ingest_outbox(self, outbox_url: str | None = None) -> IngestReport:
        """Take what a bridge's outbox holds; each row is marked once it is stored here."""
        return drain(self._store, self._intake, outbox_url, batch=self._batch)

    def settle(self) -> int:
        """Settle every leg whose outcome is final; return how many are new or changed."""
        with self._undisturbed():
            return self._settler.settle(chunk=self._chunk)

    def invoice(self, account_id: str, month: str, seller: str | None = None) -> Invoice:
        """Return the invoice of a month: as finalized, or as a draft of all that is settled.

        A month with several sellers (D15) needs one named; `invoices` returns them all.
        """
        return self._ledger.invoice(account_id, parse_month(month), seller)

    def invoices(self, account_id: str, month: str) -> list[Invoice]:
        """Return the invoices of a month, one for each seller and currency."""
        return self._ledger.invoices(account_id, parse_month(month))

    def usage(self, account_id: str, month: str) -> UsageReport:
        """Return who used the account in a month, when, how long and how they joined."""
        return usage_report(self._store, self._books, account_id, parse_month(month))

    def finalize(self, account_id: str, month: str, *, at_ms: int | None = None) -> list[Invoice]:
        """Finalize a month that is over: its invoices get numbers and never change (D14)."""
        self.settle()
        at = now_ms() if at_ms is None else at_ms
        return self._closing.finalize(account_id, parse_month(month), at_ms=at)

    def close_due(self, *, at_ms: int | None = None) -> list[Invoice]:
        """Finalize every month whose grace period is over; return the new invoices."""
        self.settle()
        return self._closing.close_due(at_ms=now_ms() if at_ms is None else at_ms)

    def migrate(
        self, account_id: str, at: str, *, product: str | None = None, contract: str | None = None
    ) -> AccountConfig:
        """Move an account to another product or contract at an instant, on record (R17, D8).

        `at` is a date, meaning midnight in the account's zone, or a time with offset. Running
        legs are split there; their sessions go on.
        """
        return self._books.migrate(account_id, at, product=product, contract=contract)

    def history(self, account_id: str) -> list[dict[str, Any]]:
        """Return every version of an account on record, by the instant it holds from."""
        return self._books.history(account_id)

    def rates(self, account_id: str, at: str | None = None) -> dict[str, Any]:
        """Return the contract, product and rate card in force for an account at an instant."""
        at_ms = now_ms() if at is None else _instant("at", at)
        with self._store.read() as connection:
            return rate_card(self._books.current(connection), account_id, at_ms)

    def problems(self) -> list[Problem]:
        """Return what was set aside and why, oldest first."""
        return open_problems(self._store)

    def retry_problems(self) -> IngestReport:
        """Try everything set aside again, and settle what has become possible."""
        report = retry(self._store, self._intake)
        self.settle()
        return report

    def dismiss_problem(self, number: int, *, note: str = "") -> None:
        """Close a problem without charging what it set aside, on record."""
        dismiss(self._store, number, note=note)
        self.settle()

    def clashes(self, number: int) -> list[Clash]:
        """Return the versions between which a problem of contradictory facts wants a choice."""
        return clashes(self._store, number)

    def choose(self, number: int, *, newer: bool, note: str = "") -> None:
        """Let the older or the newer version of contradictory facts hold, and settle again.

        What it changes in a finalized month becomes an adjustment of the next invoice (D14).
        """
        choose(self._store, number, newer=newer, note=note)
        self.settle()

    def decisions(self) -> list[Decision]:
        """Return what operators decided about problems, oldest first."""
        return decided(self._store)

    def export(self, *, settled: bool = True, since: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield `usage.settled` events, or facts, that ended at `since` or later."""
        since_ms = 0 if since is None else _instant("since", since)
        return export(self._store, settled=settled, since_ms=since_ms)

    def replay(self) -> tuple[int, int, int]:
        """Fold and settle all stored facts again: (facts, subjects mended, legs changed)."""
        total, mended = replay(self._store)
        return total, mended, self.settle()

    def push(self, *, sink: str | None = None, at_ms: int | None = None) -> list[SinkState]:
        """Send the configured sinks what they have not acknowledged yet, in order."""
        at = now_ms() if at_ms is None else at_ms
        return push(self._store, self._books, at_ms=at, only=sink)

    def dead_letters(self, sink: str | None = None) -> list[DeadLetter]:
        """Return the events that sinks refused for good, and what waits behind them."""
        return listed(self._store, sink=sink)

    def dead_letter_counts(self) -> dict[str, int]:
        """Return how many events each sink has not got because it refused one."""
        return counts(self._store)

    def push_dead_letters(
        self, *, sink: str | None = None, at_ms: int | None = None
    ) -> list[SinkState]:
        """Send the dead letters again, then what is new."""
        at = now_ms() if at_ms is None else at_ms
        push_dead(self._store, self._books, at_ms=at, only=sink)
        return push(self._store, self._books, at_ms=at, only=sink)

    def drop_dead_letter(self, number: int) -> None:
        """Give a dead letter up: it stays on record, and its session goes on without it."""
        drop(self._store, number)

    def rewind(self, sink: str) -> None:
        """Make a sink get the whole stream again, with the same ids."""
        rewind(self._store, sink)

    def mail_due(self) -> list[Mailed]:
        """Send finalized invoices to their billing addresses, when SMTP is configured."""
        return mail_due(self._store, self._books, self._ledger)

    def tend(self, outbox_url: str | None = None, *, at_ms: int | None = None) -> list[Invoice]:
        """Do all that is due, as a service does every minute; return what was finalized.

        Takes in the outbox, settles, finalizes the months whose grace is over, mails them and
        feeds the sinks. A mail server or sink that is down is tried again the next time.
        """
        at = now_ms() if at_ms is None else at_ms
        self.ingest_outbox(outbox_url)
        try:
            return self.close_due(at_ms=at)
        finally:  # a month that cannot be closed holds up neither mail nor sinks
            self.mail_due()
            self.push(at_ms=at)

    def explain(self, leg: str) -> Explanation:
        """Return a leg's facts, its settlement and the arithmetic of its charges."""
        return explain(self._store, self._books, leg)

    def close(self) -> None:
        """Give the database connections back."""
        self._store.close()

    def __enter__(self) -> "Billing":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _instant(place: str, text: str) -> int:
    try:
        return instant_of(text, "UTC")
    except ValueError:
        expected = "a date, or a time like 2026-02-10T14:04:00Z"
        raise BillingInputError(place, text, expected) from None
