"""Invoices as stories compare them, and the comparison; reads the JSON that people get.

Knows the keys of docs/billing.md; asks no database.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from typing import Self

from billing import Invoice
from bridge.lab.bills import Bill, BillLine
from bridge.lab.words import Money


@dataclass(frozen=True, slots=True)
class LineSeen:
    """One line of an invoice, as far as stories compare it."""

    kind: str
    country: str
    minutes: Decimal
    amount: Decimal
    jurisdiction: str = ""
    working: str = ""
    leg: str = ""
    increment: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    """Minutes of one increment of its contract (D7), and what they cost, in whole cents."""

    def __str__(self) -> str:
        return f"{self.kind} {self.country} {self.minutes} min {self.amount}"


@dataclass(slots=True)
class BillSeen:
    """What the account is charged: by one invoice or by several.

    Attributes:
        taxes: by "usf" and "vat"; a tax that stands on no invoice is 0.
        charged: the legs that have a line; one over a month's end has two.
    """

    total: Decimal = Decimal(0)
    currency: str = ""
    minutes: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    reasons: Counter[str] = field(default_factory=Counter)
    lines: list[LineSeen] = field(default_factory=list)
    charged: set[str] = field(default_factory=set)
    taxes: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    adjusted: Decimal = Decimal(0)
    sellers: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a bill says and what the invoices say."""

    name: str
    ok: bool
    expected: str
    observed: str


def bill_of(invoices: Iterable[Invoice]) -> BillSeen:
    """Return several invoices as one bill."""
    seen = BillSeen()
    for invoice in invoices:
        _add(seen, json.loads(invoice.to_json(), parse_float=Decimal))
    return seen


def _add(seen: BillSeen, document: Mapping[str, object]) -> None:
    read = _Reader(document)
    seen.total += Decimal(read.text("total"))
    seen.currency = read.text("currency")
    seen.adjusted += Decimal(read.text("adjusted"))
    seen.sellers[read.text("seller")] += 1
    seen.labels[read.text("label")] += 1
    seen.statuses[read.text("status")] += 1
    for line in read.rows("lines"):
        minutes, amount = Decimal(str(line["minutes"])), Decimal(str(line["amount"]))
        kind, country = str(line["kind"]), str(line["country"])
        about = str(line["jurisdiction"] or ""), str(line["working"]), str(line["leg"])
        seen.lines.append(LineSeen(kind, country, minutes, amount, *about, _increment(line)))
        seen.minutes[kind] += minutes
        if line["leg"] not in seen.charged:  # a leg over a month's end has two lines
            seen.charged.add(str(line["leg"]))
            seen.reasons[str(line["reason"])] += 1
    for tax in read.rows("taxes"):
        seen.taxes[str(tax["tax"])] += Decimal(str(tax["amount"]))
    for group in read.rows("free"):
        seen.reasons[str(group["reason"])] += int(str(group["legs"]))


def _increment(line: Mapping[str, object]) -> tuple[Decimal, Decimal]:
    """Return minutes and price of one increment more; the contract says "60/60"."""
    minutes = Decimal(str(line["increment"]).partition("/")[2] or 0) / 60
    rates = [Decimal(rate) for rate in str(line["rate"]).split(" / ") if rate]  # of its tiers
    amount, rate = Decimal(str(line["amount"])), max(rates, default=Decimal(0))
    return minutes, (minutes * rate).quantize(amount, ROUND_UP)


@dataclass(frozen=True, slots=True)
class _Reader:
    document: Mapping[str, object]

    def text(self, key: str) -> str:
        return str(self.document[key])

    def rows(self, key: str) -> list[dict[str, object]]:
        rows = self.document[key]
        assert isinstance(rows, list), key
        return rows


@dataclass(frozen=True, slots=True)
class _More:
    """What may be on a bill beyond what a story says: an increment a leg, where the clock runs.

    Attributes:
        minutes: by kind.
        money: by "total", "usf" and "vat"; of taxes the share that they are of the charges.
    """

    minutes: Mapping[str, Decimal]
    money: Mapping[str, Decimal]

    @classmethod
    def of(cls, seen: BillSeen) -> Self:
        legs: dict[str, LineSeen] = {}
        for line in seen.lines:  # of a leg with several lines the one whose increment costs most
            if line.leg not in legs or line.increment > legs[line.leg].increment:
                legs[line.leg] = line
        minutes: dict[str, Decimal] = defaultdict(Decimal)
        for line in legs.values():
            minutes[line.kind] += line.increment[0]
        usage = sum((line.increment[1] for line in legs.values()), Decimal(0))
        charges = sum((line.amount for line in seen.lines), Decimal(0))
        money = {
            tax: (usage * amount / charges).quantize(amount, ROUND_UP) if charges else Decimal(0)
            for tax, amount in seen.taxes.items()
        }
        return cls(minutes, {**money, "total": usage + sum(money.values(), Decimal(0))})


def compare(bill: Bill, seen: BillSeen, *, clock_running: bool = False) -> Iterator[Difference]:
    """Yield one comparison for each thing that a bill says.

    Where the clock runs, minutes and amounts may be one increment a leg higher: steps take time.
    """
    more = _More.of(seen) if clock_running else _More({}, {})
    if bill.lines is not None:
        wanted = "; ".join(_shown_line(one) for one in bill.lines) or "none"
        shown = "; ".join(sorted(map(str, seen.lines))) or "none"
        ok = _lines_match(bill.lines, seen.lines, higher=clock_running)
        yield Difference("lines", ok, wanted, shown)
    if bill.minutes is not None:
        minutes = bill.minutes.model_dump()
        ok = all(
            0 <= seen.minutes[kind] - wanted_ <= more.minutes.get(kind, 0)
            for kind, wanted_ in minutes.items()
        )
        yield Difference("minutes", ok, _shown_minutes(minutes), _shown_minutes(seen.minutes))
    if "reasons" in bill.model_fields_set:
        ok = {reason: seen.reasons[reason] for reason in bill.reasons} == bill.reasons
        yield Difference("reasons", ok, shown_counts(bill.reasons), shown_counts(seen.reasons))
    for name, one, amount in (
        ("total", bill.total, seen.total),
        ("usf", bill.usf, seen.taxes["usf"]),
        ("vat", bill.vat, seen.taxes["vat"]),
        ("adjusted", bill.adjusted, seen.adjusted),
    ):
        if one is not None:
            yield _same_money(
                name, one, amount, currency=seen.currency, more=more.money.get(name, Decimal(0))
            )
    for name, word, words in (
        ("seller", bill.seller, seen.sellers),
        ("label", bill.label, seen.labels),
        ("status", bill.status, seen.statuses),
    ):
        if word is not None:
            yield Difference(
                name, set(words) == {word}, word, ", ".join(sorted(words)) or "no invoice"
            )


def _same_money(
    name: str, wanted: Money, amount: Decimal, *, currency: str, more: Decimal
) -> Difference:
    ok = 0 <= amount - wanted.amount <= more and currency == wanted.currency
    expected = f"{wanted}, or up to {more} more" if more else str(wanted)
    return Difference(name, ok, expected, f"{amount} {currency}")


def shown_counts(counts: Mapping[str, int] | Mapping[str, Decimal]) -> str:
    """Return counts for people, names sorted, and alone when each stands once.

    >>> shown_counts({"ann": 1, "crowd": 500}), shown_counts({})
    ('ann, 500 crowd', 'none')
    """
    given = sorted((name, count) for name, count in counts.items() if count)
    shown = [name if count == 1 else f"{count} {name}" for name, count in given]
    return ", ".join(shown) or "none"


def _shown_minutes(minutes: Mapping[str, Decimal]) -> str:
    """Return minutes by kind.

    >>> _shown_minutes({"toll_free": Decimal(1), "call_me": Decimal(0)})
    '1 min toll_free'
    """
    given = sorted((kind, count) for kind, count in minutes.items() if count)
    return ", ".join(f"{count} min {kind}" for kind, count in given) or "none"


def _shown_line(line: BillLine) -> str:
    return " ".join(str(value) for value in line.model_dump(exclude_none=True).values())


def _fits(wanted: BillLine, seen: LineSeen, *, higher: bool) -> bool:
    given = wanted.model_dump(exclude_none=True)
    most = dict(zip(("minutes", "amount"), seen.increment, strict=True)) if higher else {}
    return all(
        0 <= getattr(seen, key) - value <= most[key] if key in most else getattr(seen, key) == value
        for key, value in given.items()
    )


def _lines_match(wanted: Sequence[BillLine], seen: Sequence[LineSeen], *, higher: bool) -> bool:
    """Return whether each wanted line is one of the invoice's, and none is left over.

    Who takes a line that another fits too may have to give it up for one that he fits as well:
    so it does not matter in which order lines stand, nor how loosely they are told.
    """
    fits = [
        [at for at, line in enumerate(seen) if _fits(one, line, higher=higher)] for one in wanted
    ]
    holder: dict[int, int] = {}

    def placed(one: int, asked: set[int]) -> bool:
        free = [at for at in fits[one] if at not in holder]
        for at in free or fits[one]:  # bound: `asked` grows, so each line is looked at once
            if at not in asked:
                asked.add(at)
                if at not in holder or placed(holder[at], asked):
                    holder[at] = one
                    return True
        return False

    return len(wanted) == len(seen) and all(placed(one, set()) for one in range(len(wanted)))
