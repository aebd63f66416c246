"""Invoices and reports as a person gets them: CSV, HTML, PDF, seven languages (R18, R19)."""

import csv
import io
import json
import string

import pytest

from billing import AccountConfig, Billing, BillingSettings, ContractConfig
from billing.invoice import Invoice, csv_cell
from billing.mail import message
from billing.page import Page, invoice_page
from billing.paper import to_html, to_pdf, to_plain
from billing.speech import Speech, _all_words
from billing.words import KINDS, LANGUAGES, REASONS
from tests.billing.facts import Story
from tests.billing.test_bills import JURISDICTIONS, b1
from tests.billing.test_closing import late_leg


@pytest.fixture
def b7(billing: Billing) -> Billing:
    account = AccountConfig(
        id="acme",
        contract="ovi",
        product="ovi",
        name="Acme & <Sons> #1",
        address=("1 Example Street",),
        time_zone="America/New_York",
        vat_id="US-1",
    )
    billing.configure([], [account])
    story = b1(anis=JURISDICTIONS)
    for event in story.events:
        if event["type"] == "leg.identified":
            event["data"] |= {"charge_code": "PROJ-77", "name": "=Ann *bold*"}
    billing.ingest(story.events)
    billing.settle()
    return billing


def typed(text: str) -> str:
    """Write a printed text with the signs of a keyboard."""
    signs: dict[str, str | int | None] = {
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{MINUS SIGN}": "-",
        "\N{NO-BREAK SPACE}": " ",
    }
    return text.translate(str.maketrans(signs))


def rows_of(page: Page, title: str) -> list[list[str]]:
    (table,) = (table for table in page.tables if table.title == title)
    return [[typed(cell) for cell in row] for row in table.rows]


def test_every_language_has_every_word() -> None:
    words = _all_words()
    assert set(words) == set(LANGUAGES)
    assert len({frozenset(said) for said in words.values()}) == 1
    assert {*KINDS, *REASONS, "usf", "vat"} <= set(words["en"])
    assert all(text for said in words.values() for text in said.values())
    for name, said in words["en"].items():
        places = {part[1] for part in string.Formatter().parse(said)}
        for other in words.values():
            assert {part[1] for part in string.Formatter().parse(other[name])} == places, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_html_and_pdf_say_the_same_total_in_every_language(b7: Billing, language: str) -> None:
    invoice = b7.invoice("acme", "2026-02")
    page = invoice_page(invoice, language)
    html = to_html(page)
    assert f'<html lang="{language}">' in html
    assert page.total[1] in html
    assert {"3", "7", "5"} == set(page.total[1]) & set(string.digits)
    assert "&lt;Sons&gt;" in html
    assert "<Sons>" not in html
    assert "PROJ-77" in html
    assert to_pdf(page).startswith(b"%PDF")


@pytest.mark.parametrize(
    ("language", "currency", "shown"),
    [
        ("en", "USD", "$1,234.50"),
        ("de", "EUR", "1.234,50\xa0€"),
        ("en", "JPY", "¥1,235"),
        ("en", "KWD", "KWD\xa01,234.500"),
        ("fr", "USD", "1\u202f234,50\xa0$US"),
    ],
)
def test_money_is_shown_with_iso_4217_decimals(language: str, currency: str, shown: str) -> None:
    micros = 1_235_000_000 if currency == "JPY" else 1_234_500_000
    assert Speech(language, currency, "UTC").money(micros) == shown


def test_the_page_groups_by_session_country_and_kind_and_says_what_was_free(b7: Billing) -> None:
    page = invoice_page(b7.invoice("acme", "2026-02"), "en")
    tables = {table.title: table.rows for table in page.tables}
    assert tables["By session"] == [["s1", "PROJ-77", "3", "30", "$3.00"]]
    assert tables["By country"] == [["United States", "Toll-free", "0.10", "3", "30", "$3.00"]]
    assert tables["By way of joining"] == [["Toll-free", "3", "30", "$3.00"]]
    assert tables["Not charged"] == [["Included", "Computer audio", "1", "11"]]
    assert rows_of(page, "Taxes and fees") == [
        [
            "Universal Service Fund 2026Q1, 37.6 %",
            "37.6 % x 2.00 assessable, rounded down",
            "$0.75",
        ]
    ]
    assert page.total == ["Total", "$3.75"]
    assert page.facts[0] == ["Invoice number", "Draft"]


def test_adjustments_and_minimums_are_on_the_page(billing: Billing) -> None:
    minimum = ContractConfig(
        id="m", currency="USD", toll_free={"*": "0.06"}, monthly_minimum="5.00"
    )
    billing.configure([minimum], [AccountConfig(id="acme", contract="m")])
    billing.ingest(b1().events)
    billing.finalize("acme", "2026-02")
    billing.ingest(late_leg(100).events)
    billing.settle()
    page = invoice_page(billing.invoice("acme", "2026-03"), "en")
    assert rows_of(page, "Adjustments of earlier months") == [
        ["2026-02", "leg-late", "$6.00 due - $0.00 invoiced", "100", "$6.00"],
        ["2026-02", "Monthly minimum", "$0.00 due - $3.20 invoiced", "0", "-$3.20"],
    ]
    assert page.total == ["Total", "$7.80"]
    assert page.note == ""
    assert ["Monthly minimum", "$5.00"] in page.totals
    assert rows_of(page, "Monthly minimum") == [["$5.00 - $0.00 used", "$5.00"]]
    text = billing.invoice("acme", "2026-03").to_text()
    assert "adjustment 2026-02: leg-late: 6.00 due - 0.00 invoiced: 6.00" in text
    assert "adjustment 2026-02: monthly minimum: 0.00 due - 3.20 invoiced: -3.20" in text
    rows = list(csv.DictReader(io.StringIO(billing.invoice("acme", "2026-03").to_csv())))
    assert [row["amount"] for row in rows] == ["5.00", "6.00", "-3.20"]


@pytest.mark.parametrize(
    ("language", "usf", "reverse"),
    [
        ("en", "37.6 % x 3.649 assessable, rounded down; 64.9 % of 1.00 of unknown", "Reverse ch"),
        ("de", "37,6 % x 3,649 abgabepflichtig, abgerundet; von 1,00 unbekannter", "Steuerschuld"),
        ("fr", "37,6 % x 3,649 assujettis, arrondi à", "Autoliquid"),
        ("it", "37,6 % x 3,649 imponibili, arrotondato per difetto; è imponibile", "Inversione"),
        ("es", "37,6 % x 3,649 sujetos, redondeado a la baja; está sujeto el 64,9", "Inversión"),
        ("pt", "37,6 % x 3,649 sujeitos, arredondado para baixo; 64,9 % de 1,00", "Autoliquid"),
        ("nl", "37,6 % x 3,649 belast, naar beneden afgerond; van 1,00 met", "Btw verlegd"),
    ],
)
def test_the_working_of_taxes_is_said_in_every_language(
    billing: Billing, language: str, usf: str, reverse: str
) -> None:
    """Three interstate minutes and one of a number without geography; VAT by reverse charge."""
    account = AccountConfig(
        id="acme", contract="ovi", product="ovi", vat_country="DE", reverse_charge=True
    )
    billing.configure([], [account], BillingSettings(vat={"DE": "19"}))
    billing.ingest(b1(anis=("+12125550111", "+12125550111", "")).events)
    story = Story(session="s2", occurrence="s2.o1")
    story.organizer(0)
    story.leg("leg-x", 0, 600_000)
    story.ended(600_000)
    billing.ingest(story.events)
    billing.settle()
    page = invoice_page(billing.invoice("acme", "2026-02"), language)
    (usf_row, vat_row) = page.tables[-1].rows
    assert typed(usf_row[1]).startswith(usf)
    assert vat_row[1].startswith(reverse)
    for printed in (to_html(page), to_plain(page)):
        assert usf_row[1] in printed
        assert vat_row[1] in printed
    assert to_pdf(page).startswith(b"%PDF")


def test_vat_that_is_charged_shows_its_base(billing: Billing) -> None:
    account = AccountConfig(id="acme", contract="c1", vat_country="DE", language="de")
    billing.configure([], [account], BillingSettings(vat={"DE": "19"}))
    billing.ingest(b1().events)
    billing.settle()
    page = invoice_page(billing.invoice("acme", "2026-02"))
    assert rows_of(page, "Steuern und Abgaben") == [["MwSt. DE, 19 %", "19 % x 1,80", "0,34 $"]]
    text = to_plain(page).splitlines()
    assert text[0] == "Rechnung: Toll-Free and Call Me"
    assert text[-1].split() == ["Gesamtbetrag", "2,14", "$"]


def test_the_csv_has_every_line_and_no_formula(b7: Billing) -> None:
    rows = list(csv.DictReader(io.StringIO(b7.invoice("acme", "2026-02").to_csv())))
    assert [row["category"] for row in rows] == ["usage"] * 3 + ["tax"]
    assert rows[0]["name"] == "'=Ann *bold*"
    assert rows[0]["ani"] == "+12125550111"
    assert [row["amount"] for row in rows] == ["1.00", "1.00", "1.00", "0.75"]
    assert csv_cell("") == ""


def test_the_usage_report_says_who_when_how_long_and_how(b7: Billing) -> None:
    report = b7.usage("acme", "2026-02")
    rows = json.loads(report.to_json())["rows"]
    assert [(r["leg"], r["kind"], r["role"], r["duration_ms"]) for r in rows] == [
        ("leg-org", "voip", "organizer", 660_000),
        ("leg-a", "toll_free", "participant", 600_000),
        ("leg-b", "toll_free", "participant", 600_000),
        ("leg-c", "toll_free", "participant", 600_000),
    ]
    assert {r["charge_code"] for r in rows} == {"PROJ-77"}
    assert "2026-02-10 09:01:00   0:10:00" in report.to_text()
    assert len(report.to_csv().splitlines()) == 5
    page = report.page("nl")
    assert page.kind == "Gebruiksrapport"
    assert page.tables[0].title == "Sessie s1 (Kostencode PROJ-77)"
    assert to_pdf(page).startswith(b"%PDF")
    assert "Organisator" in to_html(page)
    assert b7.usage("acme", "2026-05").page("en").note == "Nothing was charged."


def test_json_is_read_back_as_it_was(b7: Billing) -> None:
    invoice: Invoice = b7.invoice("acme", "2026-02")
    document = json.loads(invoice.to_json())
    assert document == json.loads(json.dumps(invoice.to_dict()))
    assert set(document) >= {
        "account", "month", "currency", "seller", "label", "lines", "free", "total",
    }  # fmt: skip
    assert set(document["lines"][0]) >= {
        "leg", "session", "kind", "country", "ani", "answered_at", "ended_at", "duration_ms",
        "billable_seconds", "billed_seconds", "minutes", "rate", "amount", "reason",
    }  # fmt: skip


def test_an_invoice_that_typst_cannot_print_is_mailed_as_html(
    b7: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error would have ended the task that bills everybody."""
    typst = pytest.importorskip("typst")

    def fail(*_: object, **__: object) -> bytes:
        raise typst.TypstError("no font family")

    monkeypatch.setattr(typst, "compile", fail)
    mail = message(b7.invoice("acme", "2026-02"), "bills@example.com", "ann@example.com")
    endings = {str(part.get_filename()).rpartition(".")[2] for part in mail.iter_attachments()}
    assert endings == {"html", "csv"}
