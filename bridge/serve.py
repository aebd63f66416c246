"""What `tollbridge serve` does around a bridge: start it, say what to dial, stop it in order."""

import asyncio
from collections.abc import Callable
from typing import Final

import phonenumbers

from bridge.conference.api import LegKind, SessionSpec
from bridge.config import Settings
from bridge.server import Bridge

TOLL_COUNTRIES_SHOWN: Final = ("US", "GB", "DE", "FR")
"""Toll numbers in the banner; every country's is in the plan (D18)."""


async def run(settings: Settings, stop: asyncio.Event, ready: Callable[[Bridge], None]) -> None:
    """Serve until `stop` is set; every leg is ended and every fact committed before it returns."""
    bridge = Bridge(settings)
    await bridge.start()
    try:
        ready(bridge)
        await stop.wait()
    finally:
        await bridge.stop()


def banner(bridge: Bridge) -> str:
    """Return what somebody with a phone needs: address, numbers, codes."""
    host, port = bridge.sip_address
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"tollbridge is listening for SIP over UDP on {place}", ""]
    for spec in bridge.sessions():
        lines += [*_session(bridge, spec, place), ""]
    if not bridge.sessions():
        lines += ["No session yet: add a [[session]] to the configuration.", ""]
    if not bridge.settings.trunk:
        lines += ["No [[trunk]]: toll and toll-free numbers are refused, VoIP works.", ""]
    return "\n".join([*lines, "Ctrl-C stops it."])


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
