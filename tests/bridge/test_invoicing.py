"""What a serving bridge does for billing by itself: takes facts in, settles, closes months."""

import json
import sqlite3
from pathlib import Path

import pytest

from billing import Billing
from bridge.conference.api import Fact
from bridge.config import Settings, SettingsError, parse_settings
from bridge.invoicing import Tending, invoice_of
from bridge.metering import Outbox
from bridge.units import ConfMs

BEGAN = ConfMs(1_770_732_000_000)  # 2026-02-10T14:00:00Z
HERE = {"session": "s1", "account": "acme", "occurrence": "s1.a"}


def settings(path: Path, *, rate: str = "0.06") -> Settings:
    return parse_settings(
        {
            "store": {"url": f"sqlite:///{path}/store.db"},
            "contract": [{"id": "c1", "currency": "USD", "toll_free": {"US": rate}}],
            "account": [{"id": "acme", "contract": "c1"}],
        }
    )


def a_meeting(outbox: Outbox, began: ConfMs = BEGAN) -> None:
    """Commit one toll-free leg of ten minutes with an organizer in it."""
    leg = {"leg": "leg-1"}
    ended = ConfMs(began + 600_000)
    caller = {"kind": "toll_free", "country": "US", "did": "", "ani": "", "direction": "inbound"}
    outbox.commit(
        [
            Fact("leg-1/1", "leg.answered", began, "leg-1", leg | caller),
            Fact("leg-1/2", "leg.identified", began, "leg-1", leg | HERE),
            Fact("leg-1/3", "leg.joined", began, "leg-1", leg | HERE | {"role": "organizer"}),
            Fact("s1.a/1", "organizer.joined", began, "s1.a", leg | HERE),
            Fact(
                "leg-1/4",
                "leg.left",
                ended,
                "leg-1",
                leg | HERE | {"reason": "hung_up", "duration_ms": 600_000},
            ),
            Fact(
                "s1.a/2",
                "session.ended",
                ended,
                "s1.a",
                HERE | {"reason": "organizer", "started": True},
            ),
        ]
    )


async def test_a_month_whose_grace_is_over_is_finalized_by_itself(tmp_path: Path) -> None:
    ours = settings(tmp_path)
    outbox = Outbox(ours.store.outbox_url, "/tollbridge/test")
    a_meeting(outbox)
    tending = Tending(ours)
    await tending.start()
    await tending.stop()
    assert outbox.waiting() == 0
    outbox.close()
    invoice = json.loads(invoice_of(ours, "acme", "2026-02").to_json())
    assert (invoice["status"], invoice["total"]) == ("finalized", "0.60")


async def test_a_rate_that_would_change_an_invoiced_month_is_refused(tmp_path: Path) -> None:
    ours = settings(tmp_path)
    outbox = Outbox(ours.store.outbox_url, "/tollbridge/test")
    a_meeting(outbox)
    outbox.close()
    await Tending(ours).start()
    dearer = Tending(settings(tmp_path, rate="0.50"))
    with pytest.raises(SettingsError, match="valid_from"):
        await dearer.start()


async def test_a_locked_store_is_tried_again_and_stops_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = settings(tmp_path)
    outbox = Outbox(ours.store.outbox_url, "/tollbridge/test")
    invoice_of(ours, "acme", "2026-02")
    a_meeting(outbox)
    blocker = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    tending = Tending(ours)
    await tending.start()
    blocker.execute("ROLLBACK")
    blocker.close()
    await tending.stop()
    assert "billing.not_tended" in capsys.readouterr().out
    assert outbox.waiting() == 0, "the last time took them in"
    outbox.close()


async def test_what_a_sink_refuses_for_good_is_logged_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([{}, {"meter": 2}, {"meter": 2}, {"meter": 3}])
    monkeypatch.setattr(Billing, "dead_letter_counts", lambda _: next(counts))
    tending = Tending(settings(tmp_path))
    for _ in range(4):
        tending._tend()
    logged = [line for line in capsys.readouterr().out.splitlines() if "sink.refused" in line]
    assert ["2" in logged[0], "3" in logged[1], len(logged)] == [True, True, 2]


async def test_a_tax_factor_that_nobody_configured_stops_no_bridge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The FCC's factors change each quarter: who is billed by them waits, calls do not."""
    ours = settings(tmp_path)
    account = ours.account[0].model_copy(update={"product": "ovi"})
    ours = ours.model_copy(update={"account": [account]})
    outbox = Outbox(ours.store.outbox_url, "/tollbridge/test")
    april = ConfMs(1_775_044_800_000)  # 2026-04-01T12:00:00Z, a quarter that has none
    a_meeting(outbox, april)
    tending = Tending(ours)
    await tending.start()
    await tending.stop()
    assert "2026Q2" in capsys.readouterr().out
    assert outbox.waiting() == 0
    outbox.close()
