"""A bridge with its web side on loopback, callers who dial it, and a client that asks it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bridge.conference.api import LegKind, LegState
from bridge.config import Settings, load_settings
from bridge.ids import new_id
from bridge.lab.callers import Caller, Target
from bridge.lab.phones import Phone
from bridge.lab.rtp import RtpEngine
from bridge.lab.words import Voice
from bridge.server import Bridge
from bridge.web.service import WebService
from tests.bridge.phone import CallIn

ADMIN = "admin-token-of-acme-0001"
ORGANIZER = "organizer-token-of-acme-1"
VIEWER = "viewer-token-of-acme-0001"
OTHER = "admin-token-of-globex-001"
OPERATOR = "operator-token-of-all-0001"
CODE, PIN = "482913", "771144"
SOON_S = 40.0


def settings(folder: Path, **overrides: Any) -> Settings:
    """Return a bridge's settings: two accounts, one session, a token for each role."""
    base: dict[str, Any] = {
        "sip": {"listen": "127.0.0.1:0"},
        "web": {"listen": "127.0.0.1:0"},
        "store": {"url": f"sqlite:///{folder}/web.db"},
        "trunk": [{"id": "carrier", "cidr": ["127.0.0.0/8"]}],
        "contract": [{"id": "c1", "currency": "USD", "toll_free": {"US": "0.06", "FR": "0.09"}}],
        "account": [{"id": "acme", "contract": "c1"}, {"id": "globex", "contract": "c1"}],
        "session": [
            {
                "id": "s1",
                "account": "acme",
                "access_code": CODE,
                "organizer_pin": PIN,
                "start": "on_command",
                "toll_free": ["US"],
            }
        ],
        "token": [
            {"token": ADMIN, "account": "acme", "role": "admin", "name": "ada"},
            {"token": ORGANIZER, "account": "acme", "role": "organizer", "name": "olga"},
            {"token": VIEWER, "account": "acme", "role": "viewer", "name": "vic"},
            {"token": OTHER, "account": "globex", "role": "admin"},
            {"token": OPERATOR, "account": "*", "role": "admin", "name": "op"},
        ],
    }
    return load_settings(None, overrides={**base, **overrides}, environment={})


@dataclass(slots=True)
class Rig:
    """A bridge, its web side, and a phone."""

    bridge: Bridge
    web: WebService
    engine: RtpEngine | None = None
    phone: Phone | None = None
    callers: list[Caller] = field(default_factory=list)

    def client(self, token: str = ADMIN) -> httpx.AsyncClient:
        """Return a client with one token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self.web.url, headers=headers, timeout=20)

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str = ADMIN, **headers: str
    ) -> httpx.Response:
        """Ask once; header names with underscores."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        async with self.client(token) as client:
            return await client.request(method, f"/api/v1{path}", json=body, headers=named)

    async def call(
        self, name: str, *, organizer: bool = False, number: str = "", let_in: bool = True
    ) -> Caller:
        """Have somebody dial in, toll-free US unless told else; wait until he is `let_in`."""
        if self.engine is None or self.phone is None:
            self.engine, self.phone = RtpEngine.start(), await Phone.open("PCMU")
        did = self.bridge.plan.did("US", LegKind.TOLL_FREE)
        assert did is not None
        keys = f"{CODE}#*{PIN}#" if organizer else f"{CODE}#"
        target = Target(number or did.e164, self.bridge.sip_address, "" if number else keys)
        caller = Caller(
            name=name,
            number=f"+1212555{len(self.callers):04d}",
            target=target,
            phone=self.phone,
            engine=self.engine,
            voice=Voice(tone_hz=400 + 60 * len(self.callers)),
        )
        self.callers.append(caller)
        await caller.join()
        if not let_in:
            return caller
        state = (LegState.WAITING, LegState.JOINED)
        assert await self.bridge.wait_for(
            lambda b: any(v.ani == caller.number and v.state in state for v in b.roster()), SOON_S
        )
        if organizer:
            assert await self.bridge.wait_for(
                lambda b: any(f.type == "organizer.joined" for f in b.facts), SOON_S
            )
        return caller

    def leg(self, caller: Caller) -> str:
        """Return a caller's leg."""
        return next(v.leg for v in self.bridge.roster() if v.ani == caller.number)

    async def close(self) -> None:
        """Hang everybody up and end everything."""
        for caller in self.callers:
            await caller.hang_up()
        await self.web.stop()
        await self.bridge.stop()
        for caller in self.callers:
            await caller.close()
        if self.phone is not None:
            self.phone.close()
        if self.engine is not None:
            self.engine.stop()


@asynccontextmanager
async def running(folder: Path, **overrides: Any) -> AsyncIterator[Rig]:
    """Run a bridge with its web side; its store is in `folder`."""
    bridge = Bridge(settings(folder, **overrides))
    await bridge.start()
    rig = Rig(bridge, await WebService.start(bridge, bridge.settings.token))
    try:
        yield rig
    finally:
        await rig.close()


@asynccontextmanager
async def callee() -> AsyncIterator[CallIn]:
    """Wait to be called by the bridge, on loopback."""
    phone = await CallIn.listen()
    try:
        yield phone
    finally:
        await phone.close()


def gateway(phone: CallIn) -> dict[str, str]:
    """Return [call_me] settings that lead to a callee."""
    host, port = phone.sip.address
    return {"gateway": f"{host}:{port}"}


async def until(what: Any, timeout_s: float = SOON_S) -> None:
    """Wait until an async predicate is true."""
    async with asyncio.timeout(timeout_s):
        while not await what():  # noqa: ASYNC110 - HTTP has no event to wait for
            await asyncio.sleep(0.05)


def unique(prefix: str = "x") -> str:
    """Return a name nobody has."""
    return f"{prefix}{new_id()}"
