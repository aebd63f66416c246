"""Bills as stories compare them with invoices."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from bridge.lab.bills import Bill
from bridge.lab.invoices import BillSeen, Difference, LineSeen, compare

US = LineSeen("toll_free", "US", Decimal(10), Decimal("0.60"))
FR = LineSeen("toll_free", "FR", Decimal(10), Decimal("0.90"))
DE = LineSeen("toll_free", "DE", Decimal(10), Decimal("0.80"))
US_5 = LineSeen("toll_free", "US", Decimal(5), Decimal("0.30"))


def lines(seen: list[LineSeen], *wanted: dict[str, Any]) -> Difference:
    (found,) = compare(Bill.model_validate({"lines": list(wanted)}), BillSeen(lines=seen))
    return found


@pytest.mark.parametrize("seen", [[US, FR], [FR, US]])
def test_a_loose_line_gives_up_what_another_needs(seen: list[LineSeen]) -> None:
    """Both give one thing; `minutes: 10` fits both lines, `country: US` one of them."""
    assert lines(seen, {"minutes": 10}, {"country": "US"}).ok
    assert lines(seen, {"country": "US"}, {"minutes": 10}).ok


def test_who_gave_up_a_line_has_another_give_up_the_next() -> None:
    wanted: list[dict[str, Any]] = [
        {"kind": "toll_free"},
        {"minutes": 10},
        {"country": "US"},
        {"amount": "0.60"},
    ]
    assert lines([US, US_5, FR, DE], *wanted).ok
    assert not lines([US_5, FR, DE, FR], *wanted).ok


def test_lines_that_are_left_over_or_missing_do_not_match() -> None:
    assert not lines([US, FR], {"country": "US"}).ok
    assert not lines([US], {"country": "US"}, {"minutes": 10}).ok
    assert not lines([US, US], {"country": "US"}, {"country": "FR"}).ok
    assert lines([US] * 400, *[{"country": "US"}] * 400).ok


def test_what_is_shown_of_a_bill_does_not_depend_on_the_order_of_lines() -> None:
    """Two runs of one story are compared by it."""
    wanted = {"lines": [{}, {}], "minutes": {}, "reasons": {"billable": 1}, "seller": "A"}
    bill = Bill.model_validate(wanted)
    one = BillSeen(lines=[US, FR], reasons=Counter(["billable", "included"]))
    one.minutes.update(toll_free=Decimal(1), call_me=Decimal(2))
    one.sellers.update(["A", "B"])
    other = BillSeen(lines=[FR, US], reasons=Counter(["included", "billable"]))
    other.minutes.update(call_me=Decimal(2), toll_free=Decimal(1))
    other.sellers.update(["B", "A"])
    assert [each.observed for each in compare(bill, one)] == [
        "toll_free FR 10 min 0.90; toll_free US 10 min 0.60",
        "2 min call_me, 1 min toll_free",
        "billable, included",
        "A, B",
    ]
    assert list(compare(bill, one)) == list(compare(bill, other))
