"""More bills worked by hand, as a finance team would: each states its arithmetic.

One store holds all of them, so that accounts, sellers and currencies cannot disturb each other.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from billing import AccountConfig, Billing, BillingSettings, ContractConfig
from billing.cli import app
from billing.config import RateConfig, TierConfig
from tests.billing.facts import Event, Story, twice_in_any_order

MINUTE = 60_000
NEW_YORK = "America/New_York"
PLAIN = ContractConfig(id="plain", currency="USD", toll_free={"US": "0.06", "*": "0.09"})
TIERS = (TierConfig(above_minutes=15, rate="0.05"), TierConfig(above_minutes=40, rate="0.01"))
CONTRACTS = [
    PLAIN,
    ContractConfig(
        id="30/6",
        currency="USD",
        minimum_s=30,
        increment_s=6,
        toll_free={"US": RateConfig(rate="0.06", connect_fee="0.01")},
    ),
    ContractConfig(
        id="tiers", currency="USD", toll_free={"US": RateConfig(rate="0.10", tiers=TIERS)}
    ),
    ContractConfig(
        id="included",
        currency="USD",
        monthly_minimum="2.00",
        included_minutes={"toll_free": 20},
        toll_free={"US": RateConfig(rate="0.10", connect_fee="0.25")},
    ),
    ContractConfig(id="yen", currency="JPY", monthly_minimum="1000", toll_free={"JP": "7.5"}),
    ContractConfig(id="dinar", currency="KWD", monthly_minimum="1.235", toll_free={"KW": "0.0125"}),
    ContractConfig(id="bahrain", currency="BHD", toll_free={"BH": "0.0005"}),
    ContractConfig(id="ovi", currency="USD", toll_free={"*": "0.07"}),
    ContractConfig(id="euro", currency="EUR", toll_free={"*": "0.0999"}),
]
ACCOUNTS = [
    AccountConfig(id="edge", contract="30/6", time_zone=NEW_YORK),
    AccountConfig(id="tier", contract="tiers", time_zone=NEW_YORK),
    AccountConfig(id="incl", contract="included"),
    AccountConfig(id="yen", contract="yen", time_zone="Asia/Tokyo"),
    AccountConfig(id="dinar", contract="dinar", time_zone="Asia/Kuwait"),
    AccountConfig(id="bahrain", contract="bahrain", time_zone="Asia/Bahrain"),
    AccountConfig(id="summer", contract="plain", time_zone=NEW_YORK),
    AccountConfig(id="kolkata", contract="plain", time_zone="Asia/Kolkata"),
    AccountConfig(id="apia", contract="plain", time_zone="Pacific/Apia"),
    AccountConfig(id="moved", contract="ovi", product="ovi", time_zone=NEW_YORK),
    AccountConfig(id="fund", contract="ovi", product="ovi", time_zone=NEW_YORK),
    AccountConfig(id="berlin", contract="euro", vat_country="DE", time_zone="Europe/Berlin"),
    AccountConfig(id="paris", contract="euro", vat_country="FR", reverse_charge=True),
]


def meeting(account: str, begins: str, *legs: tuple[str, int, int, str, str]) -> list[Event]:
    """Return the facts of one meeting: legs are (name, from, to in ms, country, number)."""
    story = Story(begins=begins, account=account, session=f"{account}-{begins[5:10]}")
    story.occurrence = f"{story.session}.o1"
    end_ms = max(stop for _, _, stop, _, _ in legs) + MINUTE
    story.leg(f"org-{story.session}", 0, end_ms, kind="voip", role="organizer", ani="")
    story.organizer(0)
    story.started(0)
    for name, start, stop, country, ani in legs:
        story.leg(f"{account}-{name}", start, stop, country=country, ani=ani)
    story.ended(end_ms)
    return story.events


def us(name: str, start_ms: int, end_ms: int, ani: str = "+12125550111") -> tuple[Any, ...]:
    return (name, start_ms, end_ms, "US", ani)


LENGTHS = (0, 999, 1_000, 30_999, 31_000, 59_999, 60_000, 60_999)
NOON = "2026-02-10T14:00:00.000Z"
MEETINGS: list[tuple[Any, ...]] = [
    ("edge", NOON, *(us(f"{ms:05d}", 0, ms) for ms in LENGTHS)),
    ("tier", "2026-03-01T04:50:00.000Z", us("a", 0, 30 * MINUTE), us("b", 2 * MINUTE, 25 * MINUTE)),
    ("incl", NOON, us("a", 0, 15 * MINUTE), us("b", MINUTE, 13 * MINUTE)),
    ("yen", NOON, ("a", 0, 7 * MINUTE, "JP", "+81312345678")),
    ("dinar", NOON, ("a", 0, 7 * MINUTE, "KW", "+96522345678")),
    ("bahrain", NOON, ("a", 0, MINUTE, "BH", "+97317123456")),
    ("summer", "2026-04-01T03:58:30.000Z", us("a", 0, 5 * MINUTE)),
    ("summer", "2026-11-01T03:58:30.000Z", us("b", 0, 5 * MINUTE)),
    ("summer", "2026-12-01T04:58:30.000Z", us("c", 0, 5 * MINUTE)),
    ("kolkata", "2026-02-28T18:28:30.000Z", ("a", 0, 5 * MINUTE, "IN", "+912212345678")),
    ("apia", "2026-02-28T10:58:30.000Z", ("a", 0, 5 * MINUTE, "WS", "+68521234")),
    ("moved", "2026-02-10T04:50:00.000Z", us("a", 0, 20 * MINUTE + 30_500)),
    (
        "fund",
        NOON,
        us("a", 0, MINUTE),
        us("b", 0, 2 * MINUTE, "+14155550111"),
        us("c", 0, 3 * MINUTE, "+18005550111"),
        ("d", 0, MINUTE, "GB", "+442071234567"),
    ),
    ("berlin", NOON, ("a", 0, 10 * MINUTE, "DE", "+493012345678")),
    ("paris", NOON, ("a", 0, 10 * MINUTE, "FR", "+33123456789")),
]

BILLS = {
    # 30/6 at 0.001 a second, and 0.01 once: 0 and 999 ms are nothing; 1 s and 30 s are 30 s;
    # 31 s are 36 s, 0.046; 59 and 60 s are 60 s.
    ("edge", "2026-02"): "0.00 0.00 0.04 0.04 0.05 0.07 0.07 0.07 = 0.34",
    # February ends at 05:00 UTC. a: 10 min; b: 5 min more at 0.10, then 3 at 0.05.
    ("tier", "2026-02"): "1.00 0.65 = 1.65",
    # The tiers begin anew. a: 15 at 0.10, 5 at 0.05; b: its 15 are minutes 21 to 35.
    ("tier", "2026-03"): "1.75 0.75 = 2.50",
    # a: 15 of the 20 included, the fee; b: 5 included, 7 at 0.10, the fee; 0.80 to the minimum.
    ("incl", "2026-02"): "0.25 0.95 0.80 = 2.00",
    # 52.5 yen are 53; 0.0875 dinar are 0.088; 0.0005 are half a fils and so one.
    ("yen", "2026-02"): "53 947 = 1000",
    ("dinar", "2026-02"): "0.088 1.147 = 1.235",
    ("bahrain", "2026-02"): "0.001 = 0.001",
    # Midnight of New York is 04:00 UTC in summer, as on the night when summer time ends.
    ("summer", "2026-03"): "0.12 = 0.12",
    ("summer", "2026-04"): "0.18 = 0.18",
    ("summer", "2026-10"): "0.12 = 0.12",
    ("summer", "2026-11"): "0.18 0.12 = 0.30",
    ("summer", "2026-12"): "0.18 = 0.18",
    ("kolkata", "2026-02"): "0.18 = 0.18",
    ("kolkata", "2026-03"): "0.27 = 0.27",
    ("apia", "2026-02"): "0.18 = 0.18",
    ("apia", "2026-03"): "0.27 = 0.27",
    # 10 min of 0.07 and 37.6 % of it, 0.2632, down; then 10:30.5, so 21 - 10 min of 0.06.
    ("moved", "2026-02"): "0.70 0.26 = 0.96 + 0.66 = 0.66",
    # Assessable: 0.07 interstate, 0.07 international, 64.9 % of 0.21 unknown: 0.27629; 0.1038.
    ("fund", "2026-02"): "0.07 0.14 0.21 0.07 0.10 = 0.59",
    # 0.999 is 1.00; VAT of it 0.19, or the customer's own affair.
    ("berlin", "2026-02"): "1.00 0.19 = 1.19",
    ("paris", "2026-02"): "1.00 0.00 = 1.00",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('hand') / 'b.db'}"
    with Billing(url) as billing:
        billing.configure(CONTRACTS, ACCOUNTS, BillingSettings(vat={"DE": "19", "FR": "20"}))
        billing.migrate("moved", "2026-02-10", product="integrated", contract="plain")
        facts = [event for told in MEETINGS for event in meeting(told[0], told[1], *told[2:])]
        billing.ingest(twice_in_any_order(facts, 7))
        billing.settle()
    return url


@pytest.mark.parametrize(("account", "month"), BILLS)
def test_the_command_prints_the_bill_that_was_worked_by_hand(
    store: str, account: str, month: str
) -> None:
    words = ["invoice", "--account", account, "--month", month, "--store", store]
    done = CliRunner().invoke(app, [*words, "--format", "json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    bills = []
    for invoice in document if isinstance(document, list) else [document]:
        shown = [*invoice["lines"], *invoice["minimum"], *invoice["taxes"]]
        bills.append(" ".join(line["amount"] for line in shown) + f" = {invoice['total']}")
    assert " + ".join(bills) == BILLS[account, month]
    text = CliRunner().invoke(app, words).stdout
    assert f"Total {invoice['total']} {invoice['currency']}" in text


def test_each_seller_numbers_its_own_invoices_and_takes_back_what_was_too_much(
    tmp_path: Path,
) -> None:
    """Two accounts, two sellers; then a shorter version of a leg makes a negative invoice."""
    with Billing(f"sqlite:///{tmp_path / 'b.db'}") as billing:
        billing.configure(CONTRACTS, ACCOUNTS, BillingSettings(vat={"DE": "19"}))
        facts = [e for t in MEETINGS if t[0] in ("fund", "berlin") for e in meeting(*t)]
        billing.ingest(facts)
        numbers = [billing.finalize(a, "2026-02")[0].number for a in ("berlin", "fund")]
        assert numbers == ["EU-000001", "EA-000001"]
        left = next(e for e in facts if e["id"] == "berlin-a/5")
        shorter = {**left, "data": {**left["data"], "duration_ms": 5 * MINUTE}}
        billing.ingest([shorter])
        billing.choose(billing.problems()[0].no, newer=True)
        (credit,) = billing.finalize("berlin", "2026-03")
        # Half of 0.999 is 0.50 and 0.095 of VAT 0.10, where 1.00 and 0.19 were invoiced.
        assert [line.amount_micros for line in credit.lines] == [-500_000, -90_000]
        assert (credit.number, str(credit.total)) == ("EU-000002", "-0.59")
        assert billing.invoice("berlin", "2026-02").status == "adjusted"


def test_the_rates_say_all_that_the_bills_were_worked_by(store: str) -> None:
    words = ["rates", "--account", "incl", "--at", "2026-02-10", "--store", store]
    assert CliRunner().invoke(app, words).stdout.splitlines()[1:] == [
        "  toll_free  US     0.10/min, connect fee 0.25",
        "  toll_free  20 min a month included",
        "  monthly minimum 2.00",
    ]


def test_a_file_with_a_byte_order_mark_loses_no_fact(tmp_path: Path) -> None:
    path = tmp_path / "facts.ndjson"
    lines = "".join(json.dumps(event) + "\n" for event in meeting(*MEETINGS[3]))
    path.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    done = CliRunner().invoke(app, ["ingest", str(path), "--store", f"sqlite:///{tmp_path}/b.db"])
    assert (done.exit_code, "0 set aside" in done.stdout) == (0, True)


def test_what_is_set_aside_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "facts.ndjson"
    path.write_bytes(b"\x1b[2J\x07nonsense\n")
    where = ["--store", f"sqlite:///{tmp_path}/b.db"]
    CliRunner().invoke(app, ["ingest", str(path), *where])
    shown = CliRunner().invoke(app, ["problems", *where]).stdout
    assert "\\x1b[2J\\x07nonsense" in shown
    assert "\x1b" not in shown
