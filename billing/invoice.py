"""An invoice as a value, and its JSON and text; knows no store.

The JSON's keys are described in docs/billing.md and stay. Amounts and rates are decimal strings,
seconds and milliseconds integers; `minutes` are for display.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from billing.money import amount_text, minutes_text, plain_text
from billing.sheet import ADJUSTMENT, MINIMUM, TAX, USAGE, Free, Line
from billing.times import iso, local, month_text

DRAFT: Final = "draft"
FINALIZED: Final = "finalized"
ADJUSTED: Final = "adjusted"


CSV_COLUMNS: Final = (
    "leg",
    "part",
    "session",
    "occurrence",
    "charge_code",
    "name",
    "kind",
    "country",
    "ani",
    "answered_at",
    "started_at",
    "ended_at",
    "duration_ms",
    "billable_seconds",
    "billed_seconds",
    "included_seconds",
    "increment",
    "minutes",
    "rate",
    "working",
    "reason",
    "jurisdiction",
    "amount",
)


@dataclass(frozen=True, slots=True)
class Party:
    """Who sends or gets an invoice."""

    id: str
    name: str
    address: tuple[str, ...] = ()
    vat_id: str = ""


@dataclass(frozen=True, slots=True)
class Invoice:
    """What one account owes one seller for one month.

    Attributes:
        status: draft, finalized, or adjusted when a later invoice corrects this one (D14).
        number: the seller's number, None for a draft.
        lines: charged leg parts, then minimum, taxes and adjustments of earlier months.
        free: legs that cost nothing, grouped by reason and kind.
    """

    account: Party
    seller: Party
    month: int
    from_ms: int
    to_ms: int
    time_zone: str
    currency: str
    label: str
    language: str = "en"
    status: str = DRAFT
    number: str | None = None
    finalized_ms: int | None = None
    lines: tuple[Line, ...] = ()
    free: tuple[Free, ...] = ()
    sums: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Sum the lines once, by category."""
        sums = dict.fromkeys((USAGE, MINIMUM, TAX, ADJUSTMENT), 0)
        for line in self.lines:
            sums[line.category] += line.amount_micros
        object.__setattr__(self, "sums", sums)

    @property
    def total_micros(self) -> int:
        """The sum of the lines shown (D9)."""
        return sum(self.sums.values())

    @property
    def total(self) -> Decimal:
        """The total in the currency's decimals."""
        return Decimal(self.money(self.total_micros))

    def money(self, micros: int) -> str:
        """Write an amount in the invoice's currency."""
        return amount_text(micros, self.currency)

    def of(self, category: str) -> list[Line]:
        """Return the lines of one category."""
        return [line for line in self.lines if line.category == category]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document; `minutes` are numerals for `to_json` to unwrap."""
        usage = self.of(USAGE)
        return {
            "account": self.account.id,
            "account_name": self.account.name,
            "month": month_text(self.month),
            "currency": self.currency,
            "seller": self.seller.name,
            "seller_id": self.seller.id,
            "label": self.label,
            "status": self.status,
            "number": self.number,
            "finalized_at": None if self.finalized_ms is None else iso(self.finalized_ms),
            "period": {
                "from": iso(self.from_ms),
                "to": iso(self.to_ms),
                "time_zone": self.time_zone,
            },
            "lines": [self._usage(line) for line in usage],
            "free": [self._free(group) for group in self.free],
            "minimum": [self._other(line) for line in self.of(MINIMUM)],
            "taxes": [self._tax(line) for line in self.of(TAX)],
            "adjustments": [self._adjustment(line) for line in self.of(ADJUSTMENT)],
            "billed_minutes": {
                kind: _minutes(totals["seconds"]) for kind, totals in kind_totals(usage).items()
            },
            "totals": {
                kind: {
                    "legs": totals["legs"],
                    "billed_seconds": totals["seconds"],
                    "minutes": _minutes(totals["seconds"]),
                    "amount": self.money(totals["micros"]),
                }
                for kind, totals in kind_totals(usage).items()
            },
            "subtotal": self.money(self.sums[USAGE] + self.sums[MINIMUM]),
            "tax": self.money(self.sums[TAX]),
            "adjusted": self.money(self.sums[ADJUSTMENT]),
            "total": self.money(self.total_micros),
        }

    def to_json(self) -> str:
        """Return the invoice as JSON text."""
        return to_json(self.to_dict())

    def to_csv(self) -> str:
        """Return every line as CSV: usage, minimum, taxes and adjustments."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(("category", "month", *CSV_COLUMNS, "currency"))
        for line in self.lines:
            shown = self._csv(line)
            month = month_text(line.month)
            cells = [csv_cell(shown.get(name, "")) for name in CSV_COLUMNS]
            writer.writerow((line.category, month, *cells, self.currency))
        return out.getvalue()

    def _csv(self, line: Line) -> dict[str, Any]:
        if line.category == USAGE:
            return {**self._usage(line), "minutes": minutes_text(line.billed_seconds)}
        what = {"leg": line.leg or line.key, "kind": line.kind, "working": line.working}
        if line.category == ADJUSTMENT:
            what |= {"session": line.session, "country": line.country}
            what["billed_seconds"] = str(line.billed_seconds)
        return {**what, "amount": self.money(line.amount_micros)}

    def to_text(self) -> str:
        """Return the invoice as plain text for a terminal."""
        rows = [
            f"{self.seller.name}",
            f"{self.label}: {month_text(self.month)}, account {self.account.id}"
            f" ({self.number or self.status})",
            "",
        ]
        rows += _table(self._text_rows())
        for group in self.free:
            minutes = minutes_text(group.seconds)
            rows.append(f"  free: {group.legs} x {group.kind}, {group.reason}, {minutes} min")
        for line in self.of(MINIMUM):
            rows.append(f"  {line.working}: {self.money(line.amount_micros)}")
        for line in self.of(TAX):
            rows.append(f"  {line.kind}: {line.working}: {self.money(line.amount_micros)}")
        for line in self.of(ADJUSTMENT):
            what = line.leg or line.kind or "monthly minimum"
            amount = f"{line.working}: {self.money(line.amount_micros)}"
            rows.append(f"  adjustment {month_text(line.month)}: {what}: {amount}")
        for kind, totals in kind_totals(self.of(USAGE)).items():
            amount = self.money(totals["micros"])
            rows.append(f"  {kind}: {minutes_text(totals['seconds'])} minutes, {amount}")
        rows.append(f"Total {self.money(self.total_micros)} {self.currency}")
        return "\n".join(rows) + "\n"

    def _text_rows(self) -> list[list[str]]:
        lines = self.of(USAGE)
        if not lines:
            return []
        rows = [["leg", "kind", "from", "answered", "min", "rate", "amount"]]
        for line in lines:
            assert line.from_ms is not None, "usage lines have times"
            at = local(line.from_ms, self.time_zone).strftime("%Y-%m-%d %H:%M:%S")
            rows.append(
                [
                    line.leg,
                    f"{line.kind} {line.country}",
                    line.ani,
                    at,
                    minutes_text(line.billed_seconds),
                    line.rate,
                    self.money(line.amount_micros),
                ]
            )
        return rows

    def _usage(self, line: Line) -> dict[str, Any]:
        assert line.from_ms is not None, "usage lines have times"
        assert line.to_ms is not None, "usage lines have times"
        return {
            "leg": line.leg,
            "part": line.part,
            "session": line.session,
            "occurrence": line.occurrence,
            "charge_code": line.charge_code,
            "name": line.name,
            "kind": line.kind,
            "country": line.country,
            "ani": line.ani,
            "answered_at": _iso(line.answered_ms),
            "started_at": iso(line.from_ms),
            "ended_at": iso(line.to_ms),
            "duration_ms": line.to_ms - line.from_ms,
            "billable_seconds": line.billable_seconds,
            "billed_seconds": line.billed_seconds,
            "included_seconds": line.included_seconds,
            "increment": line.increment,
            "minutes": _minutes(line.billed_seconds),
            "rate": line.rate,
            "working": f"{line.working} = {self.money(line.amount_micros)}",
            "amount": self.money(line.amount_micros),
            "reason": line.reason,
            "jurisdiction": line.jurisdiction,
        }

    def _free(self, group: Free) -> dict[str, Any]:
        return {
            "reason": group.reason,
            "kind": group.kind,
            "legs": group.legs,
            "count": group.legs,
            "seconds": group.seconds,
            "minutes": _minutes(group.seconds),
        }

    def _other(self, line: Line) -> dict[str, Any]:
        return {"working": line.working, "amount": self.money(line.amount_micros)}

    def _tax(self, line: Line) -> dict[str, Any]:
        name, _, what = line.key.partition(":")
        return {
            "tax": name,
            "of": what,
            "name": line.kind,
            "percent": line.rate,
            "base": plain_text(line.base_micros),
            "working": line.working,
            "amount": self.money(line.amount_micros),
        }

    def _adjustment(self, line: Line) -> dict[str, Any]:
        return {
            "month": month_text(line.month),
            "what": line.leg or line.key,
            "leg": line.leg,
            "part": line.part,
            "session": line.session,
            "kind": line.kind,
            "country": line.country,
            "billed_seconds": line.billed_seconds,
            "minutes": _minutes(line.billed_seconds),
            "working": line.working,
            "amount": self.money(line.amount_micros),
        }


def kind_totals(lines: Iterable[Line]) -> dict[str, dict[str, int]]:
    """Sum usage lines by kind: parts, legs, seconds and micros."""
    totals: dict[str, dict[str, int]] = {}
    for line in lines:
        kind = totals.setdefault(line.kind, {"legs": 0, "seconds": 0, "micros": 0})
        kind["legs"] += 1
        kind["seconds"] += line.billed_seconds
        kind["micros"] += line.amount_micros
    return dict(sorted(totals.items()))


_PLAIN_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)


def csv_cell(value: object) -> object:
    """Keep a spreadsheet from taking somebody's name for a formula.

    >>> csv_cell("=1+1"), csv_cell("+12125550111"), csv_cell("-0.60")
    ("'=1+1", '+12125550111', '-0.60')
    """
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value if _PLAIN_NUMBER.fullmatch(value) else f"'{value}"
    return value


_NUMERAL: Final = re.compile(r'"\\u0001(-?[0-9.]+)"')


def _minutes(seconds: int) -> int | str:
    """Return minutes as JSON shows them: a number, also when it is not whole, without a float."""
    whole, rest = divmod(seconds, 60)
    return whole if not rest else f"\x01{minutes_text(seconds)}"


def to_json(document: object) -> str:
    """Write JSON, with the numerals of `_minutes` unwrapped.

    >>> to_json({"minutes": _minutes(36)})
    '{\\n  "minutes": 0.6\\n}'
    """
    return _NUMERAL.sub(r"\1", json.dumps(document, indent=2))


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)


def _table(rows: list[list[str]]) -> list[str]:
    if not rows:
        return ["  no charges"]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    numeric = len(widths) - 3
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if index >= numeric else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
