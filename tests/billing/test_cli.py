"""`tollbridge billing`: what goes wrong exits 2 and names the value; what works prints."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from billing import Billing
from billing.cli import app
from tests.billing.test_bills import b1

TOML = """
[store]
url = "{url}"
[[contract]]
id = "c1"
currency = "USD"
[contract.toll_free]
US = "0.06"
[[account]]
id = "acme"
contract = "c1"
time_zone = "America/New_York"
[rtp]
address = "127.0.0.1"
"""


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def config(tmp_path: Path, sqlite_url: str) -> Path:
    path = tmp_path / "bridge.toml"
    path.write_text(TOML.format(url=sqlite_url))
    return path


@pytest.fixture
def facts_file(tmp_path: Path) -> Path:
    path = tmp_path / "facts.ndjson"
    path.write_text("\n".join(json.dumps(event) for event in b1().events) + "\n\n")
    return path


def test_ten_lines_from_a_file_of_facts_to_an_invoice(config: Path, facts_file: Path) -> None:
    taken = run("ingest", str(facts_file), "--config", str(config), "--json")
    assert taken.exit_code == 0, taken.output
    assert json.loads(taken.stdout) == {"accepted": 23, "duplicates": 0, "problems": 0}
    words = ["--account", "acme", "--month", "2026-02", "--config", str(config)]
    shown = run("invoice", *words, "--format", "json")
    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert document["total"] == "1.80"
    assert document["billed_minutes"] == {"toll_free": 30}
    assert "Total 1.80 USD" in run("invoice", *words).stdout


def test_invoice_drains_the_outbox_of_the_same_file(
    config: Path, sqlite_url: str, tmp_path: Path
) -> None:
    Billing(sqlite_url).close()
    with sqlite3.connect(tmp_path / "billing.db") as db:
        db.execute(
            "CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, source TEXT,"
            " event TEXT NOT NULL, ingested INTEGER NOT NULL DEFAULT 0)"
        )
        for one in b1().events:
            row = (one["id"], one["source"], json.dumps(one))
            db.execute("INSERT INTO outbox (id, source, event) VALUES (?, ?, ?)", row)
        db.execute("INSERT INTO outbox (id, source, event) VALUES ('x', 'y', 'not json')")
    db.close()
    words = ["--account", "acme", "--month", "2026-02", "--config", str(config)]
    for _ in range(2):
        assert "Total 1.80 USD" in run("invoice", *words).stdout
    with sqlite3.connect(tmp_path / "billing.db") as db:
        assert db.execute("SELECT count(*) FROM outbox WHERE ingested = 0").fetchone() == (0,)
        reasons = db.execute("SELECT reason FROM billing_problems").fetchall()
    db.close()
    assert reasons == [("not_json",)]


def test_an_unknown_account_is_refused_by_name(config: Path, facts_file: Path) -> None:
    run("ingest", str(facts_file), "--config", str(config))
    shown = run("invoice", "--account", "nobody", "--month", "2026-02", "--config", str(config))
    assert shown.exit_code == 2
    assert "'nobody'" in shown.output
    assert "acme" in shown.output


@pytest.mark.parametrize("month", ["2026-13", "2026-2", "february", "1999-01", "2026-02-01"])
def test_a_bad_month_is_refused_by_value(config: Path, facts_file: Path, month: str) -> None:
    run("ingest", str(facts_file), "--config", str(config))
    shown = run("invoice", "--account", "acme", "--month", month, "--config", str(config))
    assert shown.exit_code == 2
    assert repr(month) in shown.output
    assert "2026-02" in shown.output


def test_a_missing_store_is_an_error_and_stays_missing(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    words = ["--account", "acme", "--month", "2026-02", "--store", f"sqlite:///{path}"]
    shown = run("invoice", *words)
    assert shown.exit_code == 2
    assert str(path) in shown.output
    assert not path.exists()


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db", "sqlite:///"])
def test_a_store_that_cannot_be_is_refused(url: str) -> None:
    shown = run("invoice", "--account", "acme", "--month", "2026-02", "--store", url)
    assert shown.exit_code == 2
    assert "expected" in shown.output


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('currency = "USX"', "USX"),
        ('currency = "USD"\nminimum_s = "60"', "minimum_s"),
        ('currency = "USD"\nsurcharge = "1"', "surcharge"),
    ],
)
def test_a_bad_contract_is_refused_by_key(tmp_path: Path, line: str, named: str) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/b.db"\n[[contract]]\nid = "c"\n{line}\n')
    (tmp_path / "facts").write_text("")
    shown = run("ingest", str(tmp_path / "facts"), "--config", str(path))
    assert shown.exit_code == 2
    assert named in shown.output


def test_events_that_cannot_be_facts_are_set_aside_with_exit_1(
    config: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.ndjson"
    path.write_text("{}\n[1]\n\x00\n")
    taken = run("ingest", str(path), "--config", str(config))
    assert taken.exit_code == 1
    assert "3 problems" in taken.output


def test_explain_prints_facts_settlement_and_arithmetic(config: Path, facts_file: Path) -> None:
    run("ingest", str(facts_file), "--config", str(config))
    shown = run("explain", "leg-a", "--config", str(config))
    assert "leg.answered" in shown.output
    assert "session.started" in shown.output
    assert "600 s x 0.06/min = 0.60 USD" in shown.output
    assert run("explain", "leg-none", "--config", str(config)).exit_code == 2
