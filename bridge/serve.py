"""What `tollbridge serve` does around a bridge: start it, say what to dial, stop it in order."""

import asyncio
import gc
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import phonenumbers
import structlog
from pydantic import SecretStr

from bridge import recording_files
from bridge.conference.api import LegKind, SessionSpec
from bridge.config import Settings
from bridge.invoicing import Tending
from bridge.server import Bridge
from bridge.web_settings import EVERY_ACCOUNT, TokenSettings

if TYPE_CHECKING:
    from bridge.web.service import WebService

log = structlog.get_logger(__name__)

TOKEN_BYTES: Final = 24
RECORDINGS_TENDED_S: Final = 3_600
COLLECT_AT: Final = (20_000, 20, 100)
"""New objects before a collection of the youngest, of those before one of the next, and so on."""

TOLL_COUNTRIES_SHOWN: Final = ("US", "GB", "DE", "FR")
"""Toll numbers in the banner; every country's is in the plan (D18)."""


async def run(settings: Settings, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
    """Serve until `stop` is set; every leg is ended and every fact committed before it returns.

    `ready` is given the banner: what somebody with a phone or a browser needs.
    """
    bridge = Bridge(settings)
    await bridge.start()
    tending = Tending(settings)
    recordings = asyncio.create_task(_tend_recordings(settings))
    web: WebService | None = None
    try:
        await tending.start()
        said = banner(bridge)
        if settings.web_listens:
            tokens = settings.token or [_token_of_this_run()]
            web = await _start_web(bridge, tokens)
            said = "\n".join([said, *_web(web.url, settings, tokens)])
        ready("\n".join([said, "Ctrl-C stops it."]))
        _spare_the_collector()
        await stop.wait()
    finally:
        recordings.cancel()
        if web is not None:
            await web.stop()
        await bridge.stop()
        await tending.stop()


async def _tend_recordings(settings: Settings) -> None:
    """Keep recordings for their days and no longer (R12)."""
    while True:
        try:
            await asyncio.to_thread(recording_files.tend, settings.recording)
        except OSError as fault:  # of the directory: the next time it may be there again
            log.error("recordings.not_tended", error=str(fault))
        await asyncio.sleep(RECORDINGS_TENDED_S)


def _spare_the_collector() -> None:
    """Have the garbage collector look at what is new only, and less often.

    Calls make few cycles, and by default it would walk over every call and fact that is kept after
    each few hundred calls, which takes longer the more there are.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)


async def _start_web(bridge: Bridge, tokens: list[TokenSettings]) -> "WebService":
    from bridge.web.service import WebService  # its imports are paid only where it is on

    return await WebService.start(bridge, tokens)


def _token_of_this_run() -> TokenSettings:
    token = SecretStr(secrets.token_urlsafe(TOKEN_BYTES))
    return TokenSettings(token=token, account=EVERY_ACCOUNT, role="admin", name="operator")


def _web(url: str, settings: Settings, tokens: list[TokenSettings]) -> list[str]:
    lines = [f"The page is at {url}/ and the API at {url}/api/v1"]
    if not settings.token and tokens[0].token is not None:
        secret = tokens[0].token.get_secret_value()
        lines.append(f"  no [[token]]: for this run only, the operator's token is {secret}")
    return [*lines, ""]


def banner(bridge: Bridge) -> str:
    """Return what somebody with a phone needs: address, numbers, codes."""
    host, port = bridge.sip_address
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    sip = bridge.settings.sip
    secure = f", over TLS on {sip.tls}" if sip.tls else ""
    lines = [f"tollbridge is listening for SIP over UDP on {place}{secure}", ""]
    for spec in bridge.sessions():
        lines += [*_session(bridge, spec, place), ""]
    if not bridge.sessions():
        lines += ["No session yet: add a [[session]], or `tollbridge session create`.", ""]
    if not bridge.settings.trunk:
        lines += ["No [[trunk]]: toll and toll-free numbers are refused, VoIP works.", ""]
    return "\n".join(lines)


def _session(bridge: Bridge, spec: SessionSpec, place: str) -> list[str]:
    started = "when the organizer joins" if spec.start.value == "on_join" else "by *1"
    lines = [
        f"Session {spec.id} of account {spec.account} starts {started}",
        f"  access code    {spec.access_code}#",
        f"  organizer PIN  after the code *{spec.organizer_pin}#, later *0{spec.organizer_pin}#",
        f"  VoIP           sip:{spec.access_code}@{place}  (no code to key)",
        f"  VoIP           sip:join@{place}",
    ]
    for kind, label, countries in (
        (LegKind.TOLL_FREE, "toll-free", sorted(spec.toll_free)),
        (LegKind.TOLL, "toll", TOLL_COUNTRIES_SHOWN),
    ):
        for country in countries:
            did = bridge.plan.did(country, kind)
            if did:
                lines.append(
                    f"  {label:<9} {country}   {_shown(did.e164):<18} sip:{did.e164}@{place}"
                )
    return lines


def _shown(e164: str) -> str:
    return phonenumbers.format_number(
        phonenumbers.parse(e164), phonenumbers.PhoneNumberFormat.INTERNATIONAL
    )
