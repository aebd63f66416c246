"""Scheduling: one session at a time is written to the store, then put into the conference.

The store comes first, so that nothing is accepted that a restart would forget; what the core
refuses is taken back. Knows the bridge and the store; knows no HTTP.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from bridge.conference.api import (
    CancelSession,
    Entry,
    Notice,
    PutSession,
    Refused,
    SessionSpec,
    SetTollFree,
    StartPolicy,
)
from bridge.config import continue_ms
from bridge.server import Bridge
from bridge.session_store import (
    CodeTaken,
    Key,
    SessionRecord,
    SessionStore,
    Switch,
    in_force,
)
from bridge.units import ConfMs, SessionId, conf_ms_of
from bridge.web.models import SessionChange, SessionNew
from bridge.web.problems import ApiProblem, raise_refused, unknown

CODE_TRIES_MAX: Final = 20
ID_BYTES: Final = 6
JOIN_KEY_BYTES: Final = 16
SHOWN: Final = frozenset({"title", "toll_free", "opens", "closes", "language"})
"""What an invitation says; its SEQUENCE grows when one of these changes."""


class Scheduler:
    """Creates, changes and cancels sessions; switches accounts' toll-free numbers."""

    def __init__(
        self, bridge: Bridge, store: SessionStore, publish: Callable[[Notice], None]
    ) -> None:
        self._bridge = bridge
        self._store = store
        self._publish = publish
        self._one_at_a_time = asyncio.Lock()
        self._enabled: dict[str, bool] = {}

    async def restore(self) -> None:
        """Take up what the store holds: switches, and sessions that the file named."""
        self._enabled = in_force(await asyncio.to_thread(self._store.switches))
        for account, enabled in self._enabled.items():
            await self._bridge.order(SetTollFree(account, enabled=enabled))
        fresh = [self._record(spec, str(spec.id), "en") for spec in self._bridge.sessions()]
        await asyncio.to_thread(self._store.complete, fresh)

    def toll_free_enabled(self, account: str) -> bool:
        """Say whether an account's toll-free numbers are on (R13)."""
        return self._enabled.get(account, True)

    async def create(self, account: str, new: SessionNew, key: str | None) -> SessionRecord:
        """Create a session; the same key and body again return the one that they made."""
        body = json.dumps(new.model_dump(), sort_keys=True)
        digest = hashlib.sha256(f"{account} {body}".encode()).hexdigest()
        async with self._one_at_a_time:
            if key is not None:
                known = await asyncio.to_thread(self._store.key, account, key)
                if known is not None:
                    return await self._made_before(known, digest)
            record = await self._add(self._given(account, new), new, key, digest)
            spec = record.spec
            await self._put_or_undo(
                spec, lambda: asyncio.to_thread(self._store.remove, str(spec.id))
            )
            self._tell("session.created", record)
            return record

    async def _add(
        self, given: SessionSpec, new: SessionNew, key: str | None, digest: str
    ) -> SessionRecord:
        """Write a new session with its code; what is random is drawn again when it is taken."""
        for _ in range(CODE_TRIES_MAX):
            spec = self._with_code(given, new.access_code)
            record = self._record(spec, new.title or f"Session {spec.id}", new.language)
            kept = None if key is None else Key(spec.account, key, digest, str(spec.id))
            try:
                await asyncio.to_thread(self._store.add, record, kept)
            except CodeTaken:
                if new.access_code is not None or new.id is not None:
                    raise ApiProblem(409, "duplicate_code", _TAKEN) from None
                given = replace(given, id=_new_id())
            else:
                return record
        raise ApiProblem(409, "no_code_left", "no random access code was free; make them longer")

    async def _made_before(self, known: Key, digest: str) -> SessionRecord:
        if known.digest != digest:
            raise ApiProblem(409, "idempotency_conflict", "the key was used with another body")
        record = await asyncio.to_thread(self._store.record, known.made)
        if record is None:
            raise unknown("session", known.made)
        return record

    async def change(self, session: str, change: SessionChange, by: str) -> SessionRecord:
        """Change what may change of a session; its id, code and join URL stay (R10)."""
        async with self._one_at_a_time:
            old = await self._live(session)
            fields = _changed(change)
            spec = replace(old.spec, **{k: v for k, v in fields.items() if k not in _DETAILS})
            details = {k: v for k, v in fields.items() if k in _DETAILS}
            record = replace(old, spec=spec, **details)
            if record == old:
                return old
            shown = any(fields[name] != _field(old, name) for name in SHOWN & fields.keys())
            record = replace(
                record,
                sequence=old.sequence + (1 if shown else 0),
                changed_ms=self._bridge.now_conf(),
            )
            self._check_window(spec)
            await asyncio.to_thread(self._store.change, record)
            await self._put_or_undo(spec, lambda: asyncio.to_thread(self._store.change, old))
            self._tell("session.changed", record, by)
            if spec.toll_free != old.spec.toll_free:
                self._tell("session.numbers_changed", record, by)
            return record

    async def cancel(self, session: str, by: str) -> SessionRecord:
        """Cancel a session; the fact of it is what the store keeps (R6)."""
        async with self._one_at_a_time:
            record = await self._live(session)
            raise_refused(await self._bridge.order(CancelSession(record.spec.id, by=by)))
            return replace(record, cancelled=True)

    async def switch(self, account: str, *, enabled: bool, by: str) -> None:
        """Switch an account's toll-free numbers, on record (R13, D16)."""
        async with self._one_at_a_time:
            at = self._bridge.now_conf()
            await asyncio.to_thread(self._store.switch, Switch(account, enabled, at, by))
            await self._bridge.order(SetTollFree(account, enabled=enabled))
            self._enabled[account] = enabled
            self._publish(
                Notice(
                    "account.toll_free_switched",
                    at,
                    None,
                    account,
                    data={"enabled": enabled, "by": by, "reason": "order"},
                )
            )

    # --- parts --------------------------------------------------------------------------

    async def _live(self, session: str) -> SessionRecord:
        record = await asyncio.to_thread(self._store.record, session)
        if record is None:
            raise unknown("session", session)
        if record.cancelled:
            raise ApiProblem(409, "session_cancelled", f"session {session} is cancelled")
        return record

    async def _put_or_undo(self, spec: SessionSpec, undo: Callable[[], Awaitable[None]]) -> None:
        refused: tuple[Refused, ...] = await self._bridge.order(PutSession(spec))
        if refused:
            await undo()
            raise_refused(refused)

    def _given(self, account: str, new: SessionNew) -> SessionSpec:
        pin = new.organizer_pin or _digits(self._bridge.settings.web.pin_digits)
        spec = SessionSpec(
            id=SessionId(new.id) if new.id else _new_id(),
            account=account,
            access_code="",
            organizer_pin=pin,
            start=StartPolicy(new.start),
            toll_free=frozenset(new.toll_free),
            opens=_ms(new.opens),
            closes=_ms(new.closes),
            security_code=new.security_code or "",
            entry=Entry(new.entry) if new.entry else None,
            participants_max=new.participants_max,
            continue_ms=continue_ms(new.continue_minutes),
        )
        self._check_window(spec)
        return spec

    def _check_window(self, spec: SessionSpec) -> None:
        if spec.opens is not None and spec.closes is not None and spec.closes <= spec.opens:
            raise ApiProblem(409, "bad_window", "the session would close before it opens")

    def _with_code(self, spec: SessionSpec, given: str | None) -> SessionSpec:
        """Return the session with its code: the one given, or a random one that is no number."""
        if given is not None:
            if not self._bridge.plan.is_access_code(given):
                raise ApiProblem(409, "bad_access_code", "that code is one of the bridge's numbers")
            return replace(spec, access_code=given)
        code = _digits(self._bridge.settings.web.code_digits)
        while not self._bridge.plan.is_access_code(code):
            code = _digits(self._bridge.settings.web.code_digits)
        return replace(spec, access_code=code)

    def _record(self, spec: SessionSpec, title: str, language: str) -> SessionRecord:
        now = self._bridge.now_conf()
        return SessionRecord(
            spec=spec,
            title=title,
            language=language,
            join_key=secrets.token_urlsafe(JOIN_KEY_BYTES),
            sequence=0,
            created_ms=now,
            changed_ms=now,
            cancelled=False,
        )

    def _tell(self, type_: str, record: SessionRecord, by: str = "api") -> None:
        spec, now = record.spec, self._bridge.now_conf()
        self._publish(Notice(type_, now, spec.id, spec.account, data={"by": by, "reason": "order"}))


_TAKEN: Final = "the id or the access code is another session's"
_DETAILS: Final = frozenset({"title", "language"})


def _new_id() -> SessionId:
    return SessionId(f"s{secrets.token_hex(ID_BYTES)}")


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def _ms(text: str | None) -> ConfMs | None:
    return None if text is None else conf_ms_of(datetime.fromisoformat(text.upper()))


def _changed(change: SessionChange) -> dict[str, Any]:
    """Return what was named in a change, as the core's and the store's values."""
    named = {name: getattr(change, name) for name in change.model_fields_set}
    if "start" in named:
        named["start"] = StartPolicy(named["start"])
    if "toll_free" in named:
        named["toll_free"] = frozenset(named["toll_free"])
    for name in ("opens", "closes"):
        if name in named:
            named[name] = _ms(named[name])
    if "security_code" in named:
        named["security_code"] = named["security_code"] or ""
    if named.get("entry") is not None:
        named["entry"] = Entry(named["entry"])
    if "continue_minutes" in named:
        named["continue_ms"] = continue_ms(named.pop("continue_minutes"))
    return named


def _field(record: SessionRecord, name: str) -> object:
    return getattr(record if name in _DETAILS else record.spec, name)
