"""`tollbridge session` as people run it: a process, a bridge on loopback, exit codes 0 / 1 / 2."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bridge.web.rig import ADMIN, SOON_S, Rig, callee, gateway, running, until

ROOT = Path(__file__).parents[2]
COMMANDS = (
    *("create", "show", "list", "cancel", "numbers", "invite"),
    *("toll-free", "roster", "recordings", "watch", "start", "end", "call-me", "mute", "kick"),
)


async def run(url: str, *words: str, token: str = ADMIN) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200", "TERM": "dumb"}
    environment |= {"PYTHONPATH": str(ROOT), "TOLLBRIDGE_API_URL": url}
    if token:
        environment["TOLLBRIDGE_API_TOKEN"] = token
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "bridge.cli", "session", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_has_help_with_an_example(command: str) -> None:
    done = await run("http://127.0.0.1:9", command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Example: tollbridge session {command}" in done.stdout


async def said(rig: Rig, *words: str) -> str:
    """Run a command that must succeed; return what it printed."""
    done = await run(rig.web.url, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_session_is_created_shown_changed_listed_invited_to_and_cancelled(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        made = json.loads(
            await said(rig, "create", "--title", "Weekly", "--toll-free", "us", "--json")
        )
        assert made["toll_free"] == ["US"]
        options = ("--security-code", "2580", "--entry", "name", "--continue-minutes", "0")
        safe = json.loads(await said(rig, "create", *options, "--seats", "9", "--json"))
        assert (safe["security_code"], safe["entry"], safe["continue_minutes"]) == (
            *("2580", "name"),
            0,
        )
        assert "2580#" in await said(rig, "show", safe["id"])
        await said(rig, "cancel", safe["id"])
        assert made["access_code"] in await said(rig, "show", made["id"])
        assert "+49 800" in await said(rig, "numbers", made["id"], "--add", "DE")
        left = json.loads(await said(rig, "numbers", made["id"], "--remove", "US", "--json"))
        assert [one["country"] for one in left] == ["DE"]
        listed = json.loads(await said(rig, "list", "--json"))
        assert {one["id"] for one in listed} == {made["id"], "s1"}
        off = await said(rig, "toll-free", "acme", "--off")
        assert "are off" in off
        assert "by api:ada" in off
        assert (await said(rig, "numbers", made["id"])).startswith("toll-free numbers are switched")
        assert json.loads(await said(rig, "toll-free", "acme", "--on", "--json"))["enabled"] is True
        text = await said(rig, "invite", made["id"], "--language", "de")
        assert "Zugangscode" in text
        assert (await said(rig, "invite", made["id"], "--format", "ics")).startswith("BEGIN:")
        assert "cancelled" in await said(rig, "cancel", made["id"])
        again = await run(rig.web.url, "cancel", made["id"])
        assert again.returncode == 1
        assert "session_cancelled" in again.stderr


async def test_calls_are_watched_started_muted_kicked_and_ended(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        watching = asyncio.create_task(run(rig.web.url, "watch", "s1", "--count", "3", "--json"))
        await until(lambda: is_followed(rig))
        ann, olga = await rig.call("ann"), await rig.call("olga", organizer=True)
        seen = [json.loads(line)["type"] for line in (await watching).stdout.splitlines()]
        assert seen == ["leg.answered", "leg.identified", "leg.waiting"]
        assert "started" in await said(rig, "start", "s1")
        assert "muted" in await said(rig, "mute", rig.leg(ann))
        roster = await said(rig, "roster", "s1")
        assert "ann" in roster
        assert "hosting" in roster
        assert "not muted" in await said(rig, "mute", rig.leg(ann), "--off")
        await said(rig, "kick", rig.leg(ann))
        assert await ann.over(SOON_S)
        await said(rig, "end", "s1")
        assert await olga.over(SOON_S)


async def test_a_call_is_waited_for_and_recordings_are_saved(tmp_path: Path) -> None:
    kept = {"directory": str(tmp_path / "kept")}
    call_me = {"retries": 0}
    async with (
        callee() as phone,
        running(tmp_path, recording=kept, call_me={**gateway(phone), **call_me}) as rig,
    ):
        calling = asyncio.create_task(
            run(rig.web.url, "call-me", "s1", "+12125550123", "--name", "Ann", "--wait")
        )
        await phone.rung()
        await until(lambda: rings(rig))
        await asyncio.sleep(0.5)
        phone.refuse(486)
        done = await calling
        assert done.returncode == 1, done.stderr
        assert "ringing (try 1, sip_180)" in done.stdout
        assert "busy (try 1, sip_486)" in done.stdout
        await rig.call("olga", organizer=True)
        await rig.ask("POST", "/sessions/s1/start")
        for on in (True, False):
            await rig.ask("POST", "/sessions/s1/recording", {"on": on})
            await asyncio.sleep(0.5)
        assert "everybody" in await said(rig, "recordings", "s1")
        (saved,) = (
            await said(rig, "recordings", "s1", "--save", str(tmp_path / "out"))
        ).splitlines()
        assert (await asyncio.to_thread(Path(saved).read_bytes))[:4] == b"RIFF"


async def rings(rig: Rig) -> bool:
    items = (await rig.ask("GET", "/sessions/s1/call-me")).json()["items"]
    return bool(items) and items[0]["state"] == "ringing"


async def is_followed(rig: Rig) -> bool:
    return rig.web.context.feed.followers > 0


async def test_wrong_use_no_token_and_no_bridge_are_2_and_a_refusal_is_1(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        for words, token, status, text in (
            (("show", "nobody"), ADMIN, 1, "unknown_session"),
            (("start", "s1"), ADMIN, 1, "no_organizer"),
            (("create", "--toll-free", "XX"), ADMIN, 2, "toll_free"),
            (("list",), "", 2, "TOLLBRIDGE_API_TOKEN"),
            (("list",), "not-a-token-of-anybody", 2, "unauthorized"),
            (("show", "../accounts"), ADMIN, 1, "not_found"),
        ):
            done = await run(rig.web.url, *words, token=token)
            assert done.returncode == status, (words, done.stderr)
            assert text in done.stderr, (words, done.stderr)
            assert "Traceback" not in done.stderr
    nobody = await run("http://127.0.0.1:9", "list")
    assert nobody.returncode == 2
    assert "is the bridge running?" in nobody.stderr
