"""The configuration in the store, effective-dated; knows no leg.

Every version stays on record with when it was recorded. A version without `valid_from` holds from
the beginning; it can be replaced only as long as nothing was invoiced under it, since what is
finalized never changes: later changes need a date.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from billing.cards import ANY, Book, compile_book
from billing.config import AccountConfig, ContractConfig, Strict, body_of, from_start
from billing.errors import BillingInputError, ConfigConflict, UnknownAccount
from billing.settings import DEFAULT_SELLERS, USF_FACTORS, BillingSettings
from billing.store import Store
from billing.tables import config, invoices, legs, meta
from billing.times import TIME_MIN_MS, instant_of, iso, month_text, months_of, now_ms
from billing.words import CHARGED_KINDS

REVISION: Final = "config_revision"
CONTRACT: Final = "contract"
ACCOUNT: Final = "account"
SETTINGS: Final = "settings"

_M = TypeVar("_M", bound=Strict)


class Books:
    """The compiled configuration, read again whenever any process has changed it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._book: Book | None = None

    def current(self, connection: Connection) -> Book:
        """Return the configuration as this transaction sees it."""
        revision = connection.scalar(sa.select(meta.c.value).where(meta.c.key == REVISION)) or 0
        if self._book is None or self._book.revision != revision:
            self._book = _load(connection, revision)
        return self._book

    def configure(
        self,
        contracts: Iterable[ContractConfig],
        accounts: Iterable[AccountConfig],
        settings: BillingSettings | None = None,
        *,
        note: str = "configured",
    ) -> bool:
        """Store what is new or changed; return whether anything was."""
        wanted: dict[Key, str] = {}
        for kind, models in ((CONTRACT, list(contracts)), (ACCOUNT, list(accounts))):
            for model in models:
                key = (kind, model.id, from_start(model))
                if key in wanted:
                    raise BillingInputError(kind, model.id, "one version for each valid_from")
                wanted[key] = json.dumps(body_of(model), sort_keys=True)
        if settings is not None:
            wanted[SETTINGS, "", 0] = json.dumps(body_of(settings), sort_keys=True)
        with self._store.read() as connection:
            if not _changed(connection, wanted):
                return False
        with self._store.write() as connection:
            changed = _changed(connection, wanted)
            before = _bodies(connection)
            _record(connection, self._store, changed, note)
            _check(connection, changed, before)
            self._book = None
        return bool(changed)

    def migrate(
        self, name: str, at: str, *, product: str | None, contract: str | None
    ) -> AccountConfig:
        """Add a version of an account that holds from `at` on."""
        with self._store.read() as connection:
            versions = _versions(connection, ACCOUNT).get(name)
        if not versions:
            raise UnknownAccount("account", name, "a configured account")
        zone = versions[-1][1]["time_zone"]
        try:
            at_ms = instant_of(at, zone)
        except ValueError:
            expected = "a date, or a time like 2026-02-10T05:00:00Z"
            raise BillingInputError("at", at, expected) from None
        if at_ms <= versions[-1][0]:
            raise BillingInputError(
                "at", at, f"a time after {iso(versions[-1][0])}, the last change"
            )
        change = {k: v for k, v in (("product", product), ("contract", contract)) if v is not None}
        if not change:
            raise BillingInputError("migration", None, "a product, a contract or both")
        body = {**versions[-1][1], **change, "valid_from": iso(at_ms)}
        model = _model(AccountConfig, body, f"account {name}")
        self.configure([], [model], note="migrated " + ", ".join(sorted(change)))
        return model

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the versions of an account on record."""
        select = (
            sa.select(config)
            .where(config.c.kind == ACCOUNT, config.c.id == name)
            .order_by(config.c.valid_from_ms)
        )
        with self._store.read() as connection:
            return [
                {
                    **json.loads(row.body),
                    "valid_from": iso(row.valid_from_ms) if row.valid_from_ms else None,
                    "note": row.note,
                    "recorded_at": iso(row.recorded_ms),
                }
                for row in connection.execute(select)
            ]


Key = tuple[str, str, int]
"""Kind, id and the instant a version holds from."""


def _bodies(connection: Connection) -> dict[Key, str]:
    columns = (config.c.kind, config.c.id, config.c.valid_from_ms, config.c.body)
    return {
        (kind, name, at): body for kind, name, at, body in connection.execute(sa.select(*columns))
    }


def _changed(connection: Connection, wanted: Mapping[Key, str]) -> dict[Key, str]:
    known = _bodies(connection)
    return {key: body for key, body in wanted.items() if known.get(key) != body}


def _record(connection: Connection, store: Store, changed: Mapping[Key, str], note: str) -> None:
    recorded = now_ms()
    insert = store.insert(config)
    upsert = insert.on_conflict_do_update(
        index_elements=["kind", "id", "valid_from_ms"],
        set_={name: insert.excluded[name] for name in ("body", "note", "recorded_ms")},
    )
    for (kind, name, at), body in changed.items():
        connection.execute(
            upsert.values(
                kind=kind, id=name, valid_from_ms=at, body=body, note=note, recorded_ms=recorded
            )
        )
    bump = store.insert(meta).values(key=REVISION, value=1)
    connection.execute(
        bump.on_conflict_do_update(index_elements=["key"], set_={"value": meta.c.value + 1})
    )


def _check(connection: Connection, changed: Mapping[Key, str], before: Mapping[Key, str]) -> None:
    """Refuse what does not fit together or rewrites the past; mark the legs it concerns as due."""
    contracts, accounts = _versions(connection, CONTRACT), _versions(connection, ACCOUNT)
    settings = _settings(connection)
    sellers = {s.id for s in (*DEFAULT_SELLERS, *settings.sellers)}
    for product in settings.products:
        if product.seller not in sellers:
            raise BillingInputError(
                f"billing.products {product.id}: seller", product.seller, "a configured seller"
            )
    for name, versions in accounts.items():
        for _, body in versions:
            if body["contract"] not in contracts:
                raise BillingInputError(
                    f"account {name}: contract", body["contract"], "a configured contract"
                )
    for kind, name, at in changed:
        moves = _moves_money(kind, before.get((kind, name, at)), changed[kind, name, at])
        concerned = None if kind == SETTINGS else {name}
        if kind == CONTRACT:
            concerned = {
                account
                for account, versions in accounts.items()
                if any(body["contract"] == name for _, body in versions)
            }
        if kind == SETTINGS:
            _refuse_another_past(connection, before.get((kind, name, at)), settings)
        elif at == 0 and moves:
            _refuse_rewriting(connection, kind, name, concerned or set())
        held = legs.c.hold.is_not(None)
        again = sa.or_(legs.c.left_ms > at, held) if moves else held
        due = sa.update(legs).where(legs.c.state != 1, again)
        if concerned is not None:
            due = due.where(legs.c.account.in_(concerned))
        connection.execute(due.values(state=1))
        if kind != SETTINGS and moves:
            first = months_of("UTC").month(max(at, TIME_MIN_MS)) - 1  # a zone may be behind UTC
            connection.execute(
                sa.update(invoices)
                .where(invoices.c.account.in_(concerned or set()), invoices.c.month >= first)
                .values(touched=1)
            )


def _refuse_another_past(connection: Connection, before: str | None, new: BillingSettings) -> None:
    """Refuse settings by which what was invoiced would have been taxed or sold otherwise."""
    done = sa.select(invoices.c.no).where(invoices.c.status == "finalized").limit(1)
    if connection.scalar(done) is None:
        return
    old = BillingSettings.model_validate_json(before) if before else BillingSettings()
    for key in ("bridge_state", "usf_assessable", "usf_unknown_share"):
        if getattr(old, key) != getattr(new, key):
            raise ConfigConflict(f"billing.{key}", getattr(new, key), _AS_BEFORE)
    for quarter in {*USF_FACTORS, *old.usf_factors}:
        if old.factor(quarter) != new.factor(quarter):
            raise ConfigConflict(f"billing.usf_factors.{quarter}", None, _AS_BEFORE)
    for country, rates in old.vat.items():
        known = (
            {("", rates)} if isinstance(rates, str) else {(r.valid_from, r.percent) for r in rates}
        )
        now = new.vat.get(country, ())
        kept = {("", now)} if isinstance(now, str) else {(r.valid_from, r.percent) for r in now}
        if not known <= kept | {("", percent) for start, percent in kept if start is None}:
            raise ConfigConflict(f"billing.vat.{country}", None, f"{_AS_BEFORE}, others dated")
    for product in old.products:
        if product not in new.products:
            raise ConfigConflict(
                f"billing.products.{product.id}", None, f"{_AS_BEFORE}, others dated"
            )


_AS_BEFORE: Final = "what it was: months were invoiced with it"

PAPER: Final = frozenset({"name", "address", "billing_email", "language", "vat_id"})
"""What of an account is only printed."""


def _moves_money(kind: str, before: str | None, after: str) -> bool:
    """Tell whether a change can make a charge, that was right before, different."""
    if before is None and kind != SETTINGS:
        return True
    old, new = json.loads(before) if before else body_of(BillingSettings()), json.loads(after)
    if kind == SETTINGS:
        return any(old[key] != new[key] for key in ("bridge_state", "products"))
    if kind == ACCOUNT:
        return any(old[key] != new[key] for key in old if key not in PAPER)
    return not _only_adds_countries(old, new)


def _only_adds_countries(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Countries that no rate covered before change no charge; legs wait for them (no_rate)."""
    for kind in CHARGED_KINDS:
        added = new[kind].keys() - old[kind].keys()
        if (added and ANY in old[kind]) or not all(key.isalpha() for key in added):
            return False
    kept = {**new, **{k: {c: new[k].get(c) for c in old[k]} for k in CHARGED_KINDS}}
    return kept == old


def _refuse_rewriting(connection: Connection, kind: str, name: str, accounts: set[str]) -> None:
    done = sa.select(sa.func.max(invoices.c.month)).where(
        invoices.c.account.in_(accounts), invoices.c.status == "finalized"
    )
    month = connection.scalar(done)
    if month is not None:
        raise ConfigConflict(
            kind, name, f"a valid_from for this change: {month_text(month)} is invoiced"
        )


def _versions(connection: Connection, kind: str) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    select = (
        sa.select(config.c.id, config.c.valid_from_ms, config.c.body)
        .where(config.c.kind == kind)
        .order_by(config.c.id, config.c.valid_from_ms)
    )
    for name, at, body in connection.execute(select):
        found.setdefault(name, []).append((at, json.loads(body)))
    return found


def _settings(connection: Connection) -> BillingSettings:
    bodies = _versions(connection, SETTINGS).get("")
    return BillingSettings.model_validate(bodies[0][1]) if bodies else BillingSettings()


def _load(connection: Connection, revision: int) -> Book:
    contracts: dict[str, Sequence[tuple[int, ContractConfig]]] = {
        name: [(at, ContractConfig.model_validate(body)) for at, body in versions]
        for name, versions in _versions(connection, CONTRACT).items()
    }
    accounts: dict[str, Sequence[tuple[int, AccountConfig]]] = {
        name: [(at, AccountConfig.model_validate(body)) for at, body in versions]
        for name, versions in _versions(connection, ACCOUNT).items()
    }
    return compile_book(revision, _settings(connection), contracts, accounts)


def read_models(
    document: Mapping[str, Any], place: str
) -> tuple[list[ContractConfig], list[AccountConfig], BillingSettings | None]:
    """Read the billing parts of a parsed bridge.toml; other parts are not looked at."""
    contracts = [
        _model(ContractConfig, part, f"{place}: contract") for part in _tables(document, "contract")
    ]
    accounts = [
        _model(AccountConfig, part, f"{place}: account") for part in _tables(document, "account")
    ]
    part = document.get("billing")
    settings = None if part is None else _model(BillingSettings, part, f"{place}: billing")
    return contracts, accounts, settings


def _tables(document: Mapping[str, Any], name: str) -> list[Any]:
    tables = document.get(name, [])
    if not isinstance(tables, list):
        raise BillingInputError(name, tables, f"[[{name}]], a list of tables")
    return tables


def _model(model: type[_M], part: object, place: str) -> _M:
    try:
        return model.model_validate(part)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise BillingInputError(f"{place}.{where}", first["input"], first["msg"]) from None
