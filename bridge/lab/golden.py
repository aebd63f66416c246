"""The bill of a story as a file beside it: what was charged once and must be charged again.

`b1.yaml` may have `b1.bill.json`. Ids and instants that differ from run to run are left out.
"""

import difflib
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from billing import Invoice

INVOICE_KEYS: Final = (
    *("month", "seller", "label", "currency", "status", "subtotal", "tax", "adjusted", "total"),
)
LINE_KEYS: Final = (
    *("kind", "country", "ani", "answered_at", "started_at", "ended_at", "duration_ms"),
    *("billed_seconds", "rate", "working", "amount", "reason", "jurisdiction"),
)
TAX_KEYS: Final = ("tax", "name", "percent", "base", "amount")
FREE_KEYS: Final = ("reason", "kind", "legs", "seconds")
DIFFERENCES_MAX: Final = 20


def golden_file(story: Path) -> Path:
    """Return where a story's bill is kept."""
    return story.with_suffix(".bill.json")


def golden_text(invoices: Sequence[Invoice]) -> str:
    """Return what is the same each time of some invoices, lines sorted."""
    documents = [json.loads(one.to_json(), parse_float=Decimal) for one in invoices]
    bills = [
        {key: document[key] for key in INVOICE_KEYS}
        | {
            "lines": _rows(document["lines"], LINE_KEYS),
            "free": _rows(document["free"], FREE_KEYS),
            "taxes": _rows(document["taxes"], TAX_KEYS),
        }
        for document in documents
        if document["lines"] or document["free"] or document["adjustments"]
    ]
    return json.dumps(bills, indent=2, ensure_ascii=False, default=str) + "\n"


def _rows(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    kept = [{key: row[key] for key in keys} for row in rows]
    return sorted(kept, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def difference(wanted: str, seen: str) -> str:
    """Return how two bills differ, line by line; "" when they are equal."""
    lines = difflib.unified_diff(
        wanted.splitlines(), seen.splitlines(), "golden", "now", lineterm="", n=1
    )
    found = list(lines)
    more = len(found) - DIFFERENCES_MAX
    return "\n".join(found[:DIFFERENCES_MAX] + ([f"and {more} lines more"] if more > 0 else []))
