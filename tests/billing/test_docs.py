"""What the documentation shows works as it stands."""

import json
import re
import sqlite3
import tomllib
from pathlib import Path

import pytest

from billing import Billing
from billing.book import read_models
from billing.errors import BillingInputError
from tests.billing.test_bills import b1

ROOT = Path(__file__).parents[2]


def block(path: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_readmes_ten_lines_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("facts.ndjson").write_text("\n".join(json.dumps(event) for event in b1().events))
    code = block("billing/README.md", "python")
    exec(compile(code, "README", "exec"), {})
    assert "Total 1.80 USD" in capsys.readouterr().out


def test_the_documented_configuration_is_taken(sqlite_url: str) -> None:
    document = tomllib.loads(block("docs/billing.md", "toml"))
    contracts, accounts, settings = read_models(document, "docs")
    assert settings is not None
    assert settings.sinks[0].type == "openmeter"
    with Billing(sqlite_url) as billing:
        assert billing.configure(contracts, accounts, settings)
        assert not billing.configure(contracts, accounts, settings)
        card = billing.rates("acme", "2026-07-01")
        assert (card["label"], card["seller"]) == ("Meeting Audio", "Example Two, Inc.")
        assert [rate["key"] for rate in card["rates"]] == ["*", "GB", "US", "US"]
        with pytest.raises(BillingInputError, match="acme"):
            billing.rates("acme", "2026-01-01")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[billing]\nbridge_state = "California"', "billing.bridge_state"),
        ('[billing]\nusf_factors = { 2026Q5 = "1" }', "billing.usf_factors"),
        ('[billing]\nvat = { XX = "19" }', "billing.vat"),
        ('[billing]\nusf_unknown_share = "101"', "billing.usf_unknown_share"),
        ('[billing]\n[[billing.sinks]]\nid = "x"\ntype = "pigeon"\ntarget = "y"', "billing.sinks"),
        ("contract = 5", "contract"),
        (
            '[[contract]]\nid = "a"\ncurrency = "USD"\nvalid_from = 2026-01-01T00:00:00',
            "valid_from",
        ),
    ],
)
def test_a_bad_section_is_refused_by_its_key(text: str, named: str) -> None:
    with pytest.raises(BillingInputError, match=re.escape(named)):
        read_models(tomllib.loads(text), "bridge.toml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[account]]\nid = "a"\ncontract = "none"', "'none'"),
        (
            '[[contract]]\nid = "c"\ncurrency = "USD"\n[[contract]]\nid = "c"\ncurrency = "EUR"',
            "valid_from",
        ),
        (
            '[billing]\n[[billing.products]]\nid = "ovi"\nseller = "who"\nlabel = "x"',
            "'who'",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_whole(
    sqlite_url: str, text: str, named: str
) -> None:
    with Billing(sqlite_url) as billing:
        with pytest.raises(BillingInputError, match=named):
            billing.configure(*read_models(tomllib.loads(text), "bridge.toml"))
        assert billing.accounts() == []


def test_the_bridges_own_tables_live_beside_billings(sqlite_url: str, tmp_path: Path) -> None:
    with Billing(sqlite_url) as billing:
        billing.ingest(b1().events)
        with sqlite3.connect(tmp_path / "billing.db", timeout=0) as other:
            other.execute("CREATE TABLE bridge (x)")
            other.execute("INSERT INTO bridge VALUES (1)")
        other.close()
        assert billing.settle() == 0  # nobody is configured: the legs are set aside
        assert len(billing.problems()) == 4
