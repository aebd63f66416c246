"""Bills as stories compare them with invoices."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bridge.lab import invoices
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


SLACK = (Decimal(1), Decimal("0.06"))
ANN = replace(US, leg="ann", increment=SLACK)
BEN = replace(US, leg="ben", increment=SLACK)


def running(seen: BillSeen, **wanted: Any) -> dict[str, bool]:
    bill = Bill.model_validate(wanted)
    assert not all(one.ok for one in compare(bill, seen)), "on a clock that stands still"
    return {one.name: one.ok for one in compare(bill, seen, clock_running=True)}


def test_where_the_clock_runs_a_bill_may_be_an_increment_a_leg_higher() -> None:
    seen = BillSeen(Decimal("1.50"), "USD", lines=[ANN, BEN])
    seen.minutes["toll_free"] = Decimal(20)
    seen.taxes["usf"] = Decimal("0.30")
    assert all(
        running(
            seen,
            minutes={"toll_free": 18},
            total="1.35 USD",
            usf="0.27 USD",
            lines=[{"minutes": 9, "amount": "0.54"}, {"country": "US", "minutes": 10}],
        ).values()
    )
    assert running(seen, minutes={"toll_free": 17}, total="1.34 USD", usf="0.26 USD") == {
        "minutes": False,
        "total": False,
        "usf": False,
    }
    assert running(seen, total="1.51 USD", lines=[{"minutes": 11}, {"minutes": 8}]) == {
        "lines": False,
        "total": False,
    }


def test_a_leg_with_two_lines_has_one_increment_and_who_pays_nothing_none() -> None:
    dear = replace(ANN, amount=Decimal("0.80"), increment=(Decimal(1), Decimal("0.08")))
    seen = BillSeen(Decimal("1.40"), "USD", lines=[ANN, dear])
    (total,) = compare(Bill.model_validate({"total": "1.32 USD"}), seen, clock_running=True)
    assert (total.ok, total.expected) == (True, "1.32 USD, or up to 0.08 more")
    (free,) = compare(
        Bill.model_validate({"total": "0.00 USD"}), BillSeen(currency="USD"), clock_running=True
    )
    assert (free.ok, free.expected) == (True, "0.00 USD")


def test_an_increment_is_read_from_the_line_of_an_invoice() -> None:
    line = {"increment": "30/6", "amount": "0.60", "rate": "0.06"}
    assert invoices._increment(line) == (Decimal("0.1"), Decimal("0.01"))
    assert invoices._increment({**line, "rate": "0.06 / 0.50"}) == (Decimal("0.1"), Decimal("0.05"))
    assert invoices._increment({**line, "increment": "", "rate": ""})[1] == 0
