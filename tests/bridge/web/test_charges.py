"""Charges so far are shown in the decimals of the invoices to come."""

import time
from decimal import Decimal
from typing import Any

import pytest

from billing.money import amount_text, parse_micros
from bridge.config import parse_settings
from bridge.units import ConfMs
from bridge.web.charges import Charges, _Card, _Said, _shown
from bridge.web.now import Now


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD", "RSD", "IQD", "LBP"])
def test_amounts_have_the_decimals_of_the_invoice(currency: str) -> None:
    assert _shown(Decimal(12), currency) == amount_text(parse_micros("12"), currency)


def test_amounts_are_rounded_half_up() -> None:
    assert [_shown(Decimal("0.125"), one) for one in ("USD", "RSD", "IQD", "JPY")] == [
        "0.13",
        "0.13",
        "0.125",
        "0",
    ]


async def test_amounts_of_two_currencies_are_not_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract in another currency from the middle of the month on makes two invoices."""

    def invoice(currency: str, leg: str, amount: str) -> dict[str, Any]:
        line = {"leg": leg, "session": "s1", "amount": amount}
        return {"currency": currency, "lines": [line]}

    said = _Said(
        time.monotonic(),
        (invoice("EUR", "leg-2", "2.00"), invoice("USD", "leg-1", "1.00")),
        _Card("EUR", 60, 60, {}),
    )
    monkeypatch.setattr(Charges, "_ask", lambda *_: said)
    settings = parse_settings(
        {
            "contract": [{"id": "c1", "currency": "EUR"}],
            "account": [{"id": "acme", "contract": "c1"}],
        }
    )
    shown = await Charges(settings, Now()).of("acme", None, ConfMs(1_770_732_000_000))
    assert (shown.settled, shown.settled_legs, shown.currency) == ("2.00", 1, "EUR")
