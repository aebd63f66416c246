"""What a story expects of invoices, as models; compares nothing."""

import re
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, model_validator

from bridge.lab.words import (
    Amount,
    Claim,
    Country,
    PlainAmount,
    SettledReason,
    either,
    fault,
    known_word,
)

MONTH: Final = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")
"""Of the years that invoices know."""


CHARGED_KINDS: Final = ("toll_free", "call_me")
"""The kinds of leg that invoices have lines of (D5)."""

JURISDICTIONS: Final = ("interstate", "intrastate", "international", "unknown")
"""Of the charges that USF may be on (D10)."""

CHARGED_SPELT: Final = (*CHARGED_KINDS, "toll-free", "call-me")


class Minutes(Claim):
    """Billed minutes by kind; a kind that is not named must have none."""

    toll_free: int = Field(default=0, ge=0)
    call_me: int = Field(default=0, ge=0)


def _charged(value: Any) -> str:
    return known_word(str(value).replace("-", "_"), CHARGED_KINDS, "kind of charge")


def _jurisdiction(value: Any) -> str:
    return known_word(str(value), JURISDICTIONS, "jurisdiction")


class BillLine(Claim):
    """One line of the invoice; only what is given is compared."""

    kind: (
        Annotated[str, BeforeValidator(_charged, json_schema_input_type=either(CHARGED_SPELT))]
        | None
    ) = None
    country: Country | None = None
    minutes: int | None = Field(default=None, ge=0)
    amount: PlainAmount | None = None
    jurisdiction: (
        Annotated[str, BeforeValidator(_jurisdiction, json_schema_input_type=either(JURISDICTIONS))]
        | None
    ) = None


class Bill(Claim):
    """What the account is charged, in one month or in all months of the story.

    In a list of bills, one for each seller (D15), `seller` says which invoice is meant.

    Attributes:
        reasons: how many legs settled with each reason (D5); a reason that is not named is free.
        lines: all usage lines of the invoice, in any order.
        usf: the USF pass-through (D10); 0.00 when there must be none.
        vat: value added tax.
        adjusted: what corrects finalized months (D14).
        seller: the one who issues, by name; nobody else does.
        label: what stands on the invoice as the product (D15).
        status: draft, finalized or adjusted.
    """

    EMPTY_SAYS: ClassVar[frozenset[str]] = frozenset({"minutes", "lines"})

    minutes: Minutes | None = None
    total: Amount | None = None
    reasons: dict[SettledReason, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    lines: tuple[BillLine, ...] | None = None
    usf: Amount | None = None
    vat: Amount | None = None
    adjusted: Amount | None = None
    seller: str | None = None
    label: str | None = None
    status: str | None = Field(default=None, pattern="^(draft|finalized|adjusted)$")

    @model_validator(mode="after")
    def _says(self) -> "Bill":
        if not self.model_fields_set:
            raise fault("says nothing: give minutes, total, reasons, lines, usf or another part")
        return self


def by_month(value: Any) -> dict[str, Any]:
    """Return what stands under `bill` as lists of bills by month; "" is all months."""
    if isinstance(value, list):
        return {"": _of_sellers(value)}
    if not isinstance(value, dict) or not value:
        raise fault("must be a mapping such as {total: 0.42 USD}", key="bill")
    months = [key for key in value if MONTH.fullmatch(str(key))]
    if not months:
        return {"": [value]}
    for key in value:
        if key not in months:
            raise fault(f"{key!r} stands among months: write months alone, as 2026-01", key="bill")
    return {
        month: _of_sellers(bill) if isinstance(bill, list) else [bill]
        for month, bill in value.items()
    }


def _of_sellers(bills: list[Any]) -> list[Any]:
    sellers = [bill.get("seller") if isinstance(bill, dict) else None for bill in bills]
    if len(bills) < 2 or None in sellers or len(set(map(str, sellers))) < len(sellers):
        text = "a list of bills has one for each seller: [{seller: A, ...}, {seller: B, ...}]"
        raise fault(text, key="bill")
    return bills
