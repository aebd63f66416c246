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
    assert "3 set aside" in taken.output


def test_explain_prints_facts_settlement_and_arithmetic(config: Path, facts_file: Path) -> None:
    run("ingest", str(facts_file), "--config", str(config))
    shown = run("explain", "leg-a", "--config", str(config))
    assert "leg.answered" in shown.output
    assert "session.started" in shown.output
    assert "600 s x 0.06/min = 0.60 USD" in shown.output
    assert run("explain", "leg-none", "--config", str(config)).exit_code == 2


def taken_in(config: Path, facts_file: Path) -> list[str]:
    assert run("ingest", str(facts_file), "--config", str(config)).exit_code == 0
    return ["--config", str(config)]


def test_month_end_by_command(config: Path, facts_file: Path, tmp_path: Path) -> None:
    where = taken_in(config, facts_file)
    month = ["--account", "acme", "--month", "2026-02", *where]
    assert run("finalize", *month).output == "EU-000001 Example USA, Inc. 1.80 USD\n"
    assert run("close", *where).output == ""
    assert run("finalize", "--account", "acme", "--month", "2026-01", *where).exit_code == 0
    assert "(EU-000001)" in run("invoice", *month).output
    for style, begin in (("csv", b"category"), ("html", b"<!doctype"), ("pdf", b"%PDF")):
        out = tmp_path / f"invoice.{style}"
        shown = run("invoice", *month, "--format", style, "--out", str(out), "--language", "it")
        assert shown.exit_code == 0, shown.output
        assert out.read_bytes().startswith(begin)
    for style, first in (("json", "{"), ("csv", "session"), ("text", "usage of acme")):
        assert run("usage", *month, "--format", style).output.startswith(first)
    assert run("usage", *month, "--format", "html").output.startswith("<!doctype")
    assert run("invoice", *month, "--format", "pdf").exit_code == 2
    assert run("invoice", *month, "--language", "xx").exit_code == 2
    assert run("invoice", *month, "--seller", "nobody").exit_code == 2
    running = run("finalize", "--account", "acme", "--month", "2098-02", *where)
    assert (running.exit_code, "not over" in running.output) == (1, True)


def test_operators_commands(config: Path, facts_file: Path) -> None:
    where = taken_in(config, facts_file)
    card = run("rates", "--account", "acme", *where).output
    assert "contract c1, Toll-Free and Call Me by Example USA, Inc., USD, 60/60" in card
    assert "toll_free  US     0.06/min" in card
    assert json.loads(run("rates", "--account", "acme", "--json", *where).output)["currency"]
    assert run("rates", "--account", "acme", "--at", "soon", *where).exit_code == 2
    settled = run("export", "--since", "2026-02-10", *where).output.splitlines()
    assert [json.loads(line)["type"] for line in settled] == ["usage.settled"] * 4
    assert len(run("export", "--facts", *where).output.splitlines()) == 23
    assert run("export", "--since", "2027-01-01", *where).output == ""
    assert run("replay", *where).output == "23 facts replayed, 0 mended, 0 legs changed\n"
    assert json.loads(run("replay", "--json", *where).output)["changed"] == 0
    moved = run("migrate", "--account", "acme", "--at", "2026-02-10", "--product", "ovi", *where)
    assert moved.exit_code == 0, moved.output
    assert "migrated product" in moved.output
    assert run("migrate", "--account", "x", "--at", "2026-02-10", *where).exit_code == 2
    assert run("migrate", "--account", "acme", "--at", "2026-03-10", *where).exit_code == 2


def test_problems_are_listed_retried_and_dismissed(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "facts.ndjson"
    path.write_text("\n".join(json.dumps(event) for event in b1("newco").events) + "\nnonsense\n")
    where = ["--config", str(config)]
    assert run("ingest", str(path), *where).exit_code == 1
    listed = run("problems", "--json", *where)
    assert listed.exit_code == 1
    reasons = [problem["reason"] for problem in json.loads(listed.output)]
    assert sorted(reasons) == ["not_json", *["unknown_account"] * 4]
    number = json.loads(listed.output)[0]["no"]
    assert run("problems", "--dismiss", "999", *where).exit_code == 2
    assert "unknown_account" in run("problems", "--dismiss", str(number), *where).output
    config.write_text(config.read_text() + '\n[[account]]\nid = "newco"\ncontract = "c1"\n')
    assert run("problems", "--retry", *where).output == "no problems\n"


def test_push_sends_to_the_configured_sinks(config: Path, facts_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    sinks = f'[[billing.sinks]]\nid = "f"\ntype = "file"\ntarget = "{out}"\n'
    config.write_text(config.read_text() + sinks)
    where = taken_in(config, facts_file)
    assert run("push", *where).output == "f: 4 sent\n"
    assert run("push", "--sink", "f", "--from-start", *where).output == "f: 4 sent\n"
    assert json.loads(run("push", "--json", *where).output)[0]["sent"] == 0
    assert run("push", "--sink", "g", *where).exit_code == 2
    assert run("push", "--from-start", *where).exit_code == 2
    out.unlink()
    out.mkdir()
    down = run("push", "--sink", "f", "--from-start", *where)
    assert (down.exit_code, "again at" in down.output) == (1, True)


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_a_config_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    shown = run("problems", "--config", str(tmp_path / name))
    assert shown.exit_code == 2
    assert "--config" in shown.output


def test_config_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text("= =")
    assert run("problems", "--config", str(path)).exit_code == 2


def test_every_command_has_an_example() -> None:
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    for name in [*names, "rates", "migrate", "problems", "export", "push", "replay"]:
        shown = run(name, "--help")
        assert shown.exit_code == 0
        assert "Example: tollbridge billing" in shown.output
