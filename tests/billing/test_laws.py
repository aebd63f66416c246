"""Laws that hold for any facts: order, repetition, splitting, sums, integers, USF (issue 3)."""

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing import AccountConfig, Billing, BillingSettings, ContractConfig, billed_seconds
from billing.config import RateConfig, TierConfig
from billing.money import amount_text, parse_micros
from billing.quantity import growth
from billing.tax import usf
from billing.words import JURISDICTIONS
from tests.billing.facts import Event, Story

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04")
COUNTRIES = ("US", "FR", "JP")
laws = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

seconds = st.integers(min_value=0, max_value=200_000)
increments = st.fixed_dictionaries(
    {
        "minimum_s": st.integers(min_value=1, max_value=120),
        "increment_s": st.integers(min_value=1, max_value=120),
    }
)


@given(seconds, increments)
def test_billed_seconds_are_the_least_that_cover_in_whole_increments(
    whole: int, steps: dict[str, int]
) -> None:
    billed = billed_seconds(whole, **steps)
    assert billed >= whole
    assert billed == 0 or (billed - steps["minimum_s"]) % steps["increment_s"] == 0
    assert whole == 0 or billed - steps["increment_s"] < max(whole, steps["minimum_s"])


@given(st.lists(st.integers(min_value=0, max_value=90_000_000), min_size=1), increments)
def test_splitting_a_leg_at_any_instants_keeps_its_seconds(
    marks: list[int], steps: dict[str, int]
) -> None:
    cuts = [0, *sorted(marks)]
    parts = growth(cuts, **steps)
    assert all(billable >= 0 and billed >= 0 for billable, billed in parts)
    assert sum(billable for billable, _ in parts) == cuts[-1] // 1_000
    assert sum(billed for _, billed in parts) == billed_seconds(cuts[-1] // 1_000, **steps)


charges = st.lists(
    st.tuples(st.sampled_from(JURISDICTIONS), st.integers(min_value=0, max_value=10**12)),
)


@given(charges, st.integers(min_value=0, max_value=100_000_000), st.sampled_from([1, 10_000]))
def test_usf_is_never_above_factor_times_assessable_charges(
    charged: list[tuple[str, int]], share: int, unit: int
) -> None:
    percent = f"{share // 1_000_000}.{share % 1_000_000:06d}"
    config = BillingSettings(usf_unknown_share=percent)
    tax = usf(charged, quarter="2026Q1", settings=config, unit=unit)
    most = sum(amount for where, amount in charged if where != "intrastate")
    least = sum(amount for where, amount in charged if where in ("interstate", "international"))
    factor = parse_micros("37.6")
    assert tax.amount_micros % unit == 0
    assert tax.amount_micros * 100_000_000 <= most * factor
    assert (tax.amount_micros + unit) * 100_000_000 > least * factor
    assert tax.amount_micros * 100_000_000 <= (tax.base_micros + 1) * factor


@st.composite
def stories(draw: st.DrawFn) -> list[Event]:
    """Some occurrences with legs of every kind and fate, around two month ends."""
    events: list[Event] = []
    for number in range(draw(st.integers(min_value=1, max_value=3))):
        begins = draw(
            st.sampled_from(
                ["2026-01-31T23:50:00.000Z", "2026-02-10T14:00:00.000Z", "2026-03-01T04:55:00.000Z"]
            )
        )
        story = Story(begins=begins, occurrence=f"s1.{number}")
        if draw(st.booleans()):
            story.organizer(0)
        for index in range(draw(st.integers(min_value=0, max_value=4))):
            start = draw(st.integers(min_value=0, max_value=600_000))
            kind = draw(st.sampled_from(["toll_free", "toll", "voip", "call_me"]))
            story.leg(
                f"leg-{number}-{index}",
                start,
                start + draw(st.integers(min_value=0, max_value=3_000_000)),
                kind=kind,
                country=draw(st.sampled_from(COUNTRIES)),
                ani=draw(st.sampled_from(["+12125550111", "+14155550111", "", "+33142685300"])),
                let_in=draw(st.booleans()),
                direction="outbound" if kind == "call_me" else "inbound",
            )
        story.ended(5_000_000)
        events += story.events
    return events


@st.composite
def contracts(draw: st.DrawFn) -> ContractConfig:
    def rate() -> RateConfig:
        marks = sorted(draw(st.sets(st.integers(min_value=1, max_value=60), max_size=2)))
        cents = st.integers(min_value=0, max_value=999_999)
        return RateConfig(
            rate=f"0.{draw(cents):06d}",
            connect_fee=f"0.{draw(cents):06d}",
            tiers=tuple(TierConfig(above_minutes=m, rate=f"0.{draw(cents):06d}") for m in marks),
        )

    included = st.dictionaries(st.sampled_from(["toll_free", "call_me"]), st.integers(0, 90))
    return ContractConfig.model_validate(
        {
            "id": "c1",
            "currency": draw(st.sampled_from(["USD", "JPY", "KWD"])),
            "toll_free": {"US": rate(), "*": rate()},
            "call_me": {"*": rate()},
            "included_minutes": draw(included),
            "monthly_minimum": draw(st.sampled_from(["0", "10.5"])),
            **draw(increments),
        }
    )


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("laws") / "empty.db"
    Billing(f"sqlite:///{path}").close()
    return path


_numbers = count()


@contextmanager
def fresh(empty: Path) -> Iterator[Billing]:
    path = empty.with_name(f"law{next(_numbers)}.db")
    shutil.copy(empty, path)
    with Billing(f"sqlite:///{path}") as billing:
        yield billing
    path.unlink()


def configure(billing: Billing, contract: ContractConfig, product: str = "ovi") -> None:
    usf_factors = {"2026Q2": "37.0"}
    account = {"id": "acme", "contract": "c1", "time_zone": "America/New_York"}
    billing.configure(
        [contract],
        [AccountConfig.model_validate({**account, "product": product})],
        BillingSettings(usf_factors=usf_factors, vat={"DE": "19"}),
    )


def documents(billing: Billing) -> list[str]:
    return [one.to_json() for month in MONTHS for one in billing.invoices("acme", month)]


@laws
@given(events=stories(), contract=contracts(), seed=st.integers(0, 1_000))
def test_replay_and_reorder_change_nothing(
    empty: Path, events: list[Event], contract: ContractConfig, seed: int
) -> None:
    with fresh(empty) as billing:
        configure(billing, contract)
        billing.ingest(events)
        billing.settle()
        expected = documents(billing)
        total, mended, changed = billing.replay()
        assert (total, mended, changed) == (len(events), 0, 0)
        assert documents(billing) == expected
    with fresh(empty) as billing:
        random_source = random.Random(seed)
        doubled = [*events, *events]
        random_source.shuffle(doubled)
        while doubled:
            size = random_source.randint(1, 9)
            chunk, doubled = doubled[:size], doubled[size:]
            billing.ingest(chunk)
            billing.settle()
            if size == 5:
                configure(billing, contract)
        configure(billing, contract)
        billing.settle()
        assert documents(billing) == expected
        assert billing.replay()[1:] == (0, 0)
        stream = list(billing.export())
        assert len({event["id"] for event in stream}) == len(stream)
        live = sum(event["data"]["billed_seconds"] for event in stream)
        lines = [line for doc in expected for line in json.loads(doc)["lines"]]
        assert live == sum(line["billed_seconds"] for line in lines)


@laws
@given(events=stories(), contract=contracts())
def test_total_in_is_total_out_and_lines_add_up(
    empty: Path, events: list[Event], contract: ContractConfig
) -> None:
    with fresh(empty) as billing:
        configure(billing, contract)
        billing.ingest(events)
        billing.settle()
        billed = free = 0
        for month in MONTHS:
            for invoice in billing.invoices("acme", month):
                micros = [line.amount_micros for line in invoice.lines]
                assert all(type(value) is int for value in micros)
                assert sum(micros) == invoice.total_micros
                assert amount_text(sum(micros), invoice.currency) == str(invoice.total)
                billed += sum(line.billed_seconds for line in invoice.lines)
                free += sum(group.legs for group in invoice.free)
        assert billed == sum(expected_seconds(events, contract).values())
        placed = {e["data"]["leg"] for e in events if e["type"] == "leg.identified"}
        assert len(expected_seconds(events, contract)) + free == len(placed)
        assert billing.problems() == []


def expected_seconds(events: list[Event], contract: ContractConfig) -> dict[str, int]:
    """A slow twin of settlement: billed seconds by charged leg, straight from D5 and D7."""
    organized = {e["data"]["occurrence"] for e in events if e["type"] == "organizer.joined"}
    let_in = {e["data"]["leg"] for e in events if e["type"] in ("leg.waiting", "leg.joined")}
    kinds = {e["data"]["leg"]: e["data"]["kind"] for e in events if e["type"] == "leg.answered"}
    found: dict[str, int] = {}
    for left in (e["data"] for e in events if e["type"] == "leg.left"):
        charged = kinds[left["leg"]] in ("toll_free", "call_me") and left["leg"] in let_in
        if charged and left["occurrence"] in organized:
            whole, billed = left["duration_ms"] // 1_000, 0
            while whole > 0 and billed < whole:
                billed += contract.increment_s if billed else contract.minimum_s
            found[left["leg"]] = billed
    return found


def finalized(billing: Billing) -> dict[str, dict[str, Any]]:
    """Return the first two months' finalized invoices by number, but for `adjusted`."""
    found = [i for m in MONTHS[:2] for i in billing.invoices("acme", m) if i.number]
    return {i.number: {**i.to_dict(), "status": ""} for i in found if i.number}


@laws
@given(events=stories(), contract=contracts(), seed=st.integers(0, 1_000))
def test_finalizing_early_or_late_bills_the_same_in_all(
    empty: Path, events: list[Event], contract: ContractConfig, seed: int
) -> None:
    """D14: what comes after finalization becomes adjustments; the sum of all is the same."""
    with fresh(empty) as billing:
        configure(billing, contract)
        billing.ingest(events)
        billing.settle()
        for month in MONTHS:
            billing.finalize("acme", month)
        right = sum(i.total_micros for m in MONTHS for i in billing.invoices("acme", m))
    with fresh(empty) as billing:
        configure(billing, contract)
        shuffled = list(events)
        random.Random(seed).shuffle(shuffled)
        billing.ingest(shuffled[: len(shuffled) // 2])
        billing.finalize("acme", "2026-01")
        billing.finalize("acme", "2026-02")
        kept = finalized(billing)
        billing.ingest(shuffled[len(shuffled) // 2 :])
        for month in MONTHS:
            billing.finalize("acme", month)
        again = finalized(billing)
        assert {number: again[number] for number in kept} == kept
        assert sum(i.total_micros for m in MONTHS for i in billing.invoices("acme", m)) == right
        assert all(not i.of("adjustment") for i in billing.invoices("acme", "2026-05"))
