"""Stores, the outbox elsewhere, replay that mends, and what goes wrong with a database."""

import json
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

import billing.bench
from billing import Billing
from billing.errors import BillingInputError, StoreTrouble
from billing.outbox import drain, shared_with_a_bridge
from billing.store import Store
from tests.billing.test_bills import b1

OUTBOX = (
    "CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, source TEXT,"
    " event TEXT NOT NULL, ingested INTEGER NOT NULL DEFAULT 0)"
)


def fill(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute(OUTBOX)
        for one in b1().events:
            row = (one["id"], one["source"], json.dumps(one))
            db.execute("INSERT INTO outbox (id, source, event) VALUES (?, ?, ?)", row)
    db.close()


def test_an_outbox_in_another_file_is_drained_once(billing: Billing, tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    url = f"sqlite:///{path}"
    assert billing.ingest_outbox(url).accepted == 0  # not there yet
    assert not path.exists()
    fill(path)
    assert billing.ingest_outbox(url).accepted == 23
    assert billing.ingest_outbox(url).accepted == 0
    billing.settle()
    assert str(billing.invoice("acme", "2026-02").total) == "1.80"


def test_a_crash_between_store_and_mark_only_brings_duplicates(
    billing: Billing, tmp_path: Path
) -> None:
    path = tmp_path / "outbox.db"
    fill(path)
    billing.ingest_outbox(f"sqlite:///{path}")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE outbox SET ingested = 0")
    db.close()
    report = billing.ingest_outbox(f"sqlite:///{path}")
    assert (report.accepted, report.duplicates) == (0, 23)


def test_draining_goes_in_batches_and_leaves_the_schema_alone(tmp_path: Path) -> None:
    from billing.ingest import Intake

    path = tmp_path / "outbox.db"
    fill(path)
    store = Store(f"sqlite:///{tmp_path / 'b.db'}")
    report = drain(store, Intake(store), f"sqlite:///{path}", batch=4)
    store.close()
    assert report.accepted == 23
    with sqlite3.connect(path) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    db.close()
    assert {name for (name,) in tables} == {"outbox", "sqlite_sequence"}


def test_bulk_spares_a_file_that_a_bridge_shares(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    fill(path)
    shared, alone = Store(f"sqlite:///{path}"), Store(f"sqlite:///{tmp_path / 'alone.db'}")
    assert shared_with_a_bridge(shared)
    assert not shared_with_a_bridge(alone)
    shared.close()
    alone.close()
    with Billing(f"sqlite:///{path}", bulk=True) as billing:
        assert billing.ingest_outbox().accepted == 23


def test_replay_mends_what_was_damaged(billing: Billing, store_url: str) -> None:
    billing.ingest(b1().events)
    billing.settle()
    expected = billing.invoice("acme", "2026-02").to_json()
    engine = sa.create_engine(store_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE billing_legs SET kind = 'voip' WHERE leg = 'leg-a'")
        connection.exec_driver_sql("DELETE FROM billing_legs WHERE leg = 'leg-nobody'")
        connection.exec_driver_sql("UPDATE billing_occurrences SET organizer = 0")
    engine.dispose()
    total, mended, _ = billing.replay()
    assert (total, mended) == (23, 2)
    assert billing.invoice("acme", "2026-02").to_json() == expected
    assert billing.replay() == (23, 0, 0)


def test_a_locked_database_is_an_error_and_nothing_is_half_written(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.store.BUSY_TIMEOUT_MS", 50)
    with Billing(sqlite_url) as billing:
        lock = sqlite3.connect(tmp_path / "billing.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreTrouble, match="locked"):
            billing.ingest(b1().events)
        lock.execute("ROLLBACK")
        lock.close()
        assert billing.ingest(b1().events).accepted == 23


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "billing.db"
    path.write_text("this is not a database, however long it is made" * 100)
    with pytest.raises((StoreTrouble, BillingInputError)):
        Billing(f"sqlite:///{path}")


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://h/d", "postgresql+nodriver://h/d"])
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(BillingInputError, match="store"):
        Billing(url)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(StoreTrouble) as caught:
        Billing("postgresql://tester:secret@127.0.0.1:1/none?connect_timeout=2")
    assert "secret" not in str(caught.value)


def test_the_bench_counts_what_it_bills() -> None:
    found = billing.bench.run(400)
    assert (found["legs"], found["facts"], found["accounts"]) == (400, 1_260, 1)
    assert found["total_micros"] > 0
    assert found["memory_mb"] > 0
