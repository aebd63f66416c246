"""The published schemas are what the code checks by, and the schema of the store is migrated."""

import json
import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import billing as package
from billing import Billing
from billing.schemas import schemas
from billing.store import HEAD, VERSION_TABLE, Store
from billing.tables import metadata
from tests.billing.test_bills import b1

ROOT = Path(__file__).parents[2]


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Check a value by the few words of JSON Schema that ours use."""
    kinds = {"string": str, "integer": int, "object": dict, "null": type(None)}
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "type" in schema:
        named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(type(value) is kinds[name] for name in named):
            return False
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, str) and len(value) < schema.get("minLength", 0):
        return False
    if isinstance(value, int) and value < schema.get("minimum", value):
        return False
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return all(name in value for name in schema.get("required", [])) and all(
            fits(properties[name], part) for name, part in value.items() if name in properties
        )
    return True


def test_docs_hold_the_schemas_that_the_code_makes() -> None:
    folder = ROOT / "docs" / "schemas"
    published = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert published == schemas()


def test_every_event_in_and_out_fits_its_schema(billing: Billing) -> None:
    known = schemas()
    events = b1().events
    billing.ingest(events)
    billing.settle()
    settled = list(billing.export())
    assert len(settled) == 4
    for event in [*events, *settled, *billing.export(settled=False)]:
        assert fits(known[event["type"]], event), event
    left = next(e for e in events if e["type"] == "leg.left")
    broken = {**left, "data": {**left["data"], "duration_ms": "60"}}
    assert not fits(known["leg.left"], broken)


def test_facts_come_out_as_they_went_in(billing: Billing) -> None:
    events = b1().events
    events[0]["traceparent"] = "00-1-2-03"
    billing.ingest(events)
    out = {event["id"]: event for event in billing.export(settled=False)}
    assert out == {event["id"]: event for event in events}
    since = list(billing.export(settled=False, since="2026-02-10T14:11:00Z"))
    assert {event["type"] for event in since} == {"leg.left", "session.ended"}


def test_the_migrations_make_exactly_the_tables(store_url: str) -> None:
    store = Store(store_url)
    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "include_name": lambda name, kind, _: kind != "table" or name != VERSION_TABLE,
            },
        )
        assert compare_metadata(context, metadata) == []
        assert all(name.startswith("billing_") for name in sa.inspect(connection).get_table_names())
    store.close()


def test_the_newest_migration_is_the_one_the_store_looks_for() -> None:
    folder = Path(package.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == HEAD


def test_configuration_models_load_no_database() -> None:
    import subprocess
    import sys

    code = (
        "import sys, billing.config; "
        "print([m for m in ('sqlalchemy', 'alembic', 'babel', 'typst') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
