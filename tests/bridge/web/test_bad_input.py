"""What is wrong is answered clearly, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from bridge.conference.api import LegState
from bridge.server import Bridge
from bridge.web.limits import BODY_BYTES_MAX
from tests.bridge.web.rig import ADMIN, SOON_S, running

TEN_MB = 10 * 1_024 * 1_024


async def test_a_body_of_10_mb_is_413_announced_or_not_and_the_bridge_goes_on(
    tmp_path: Path,
) -> None:
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65_536

    async with running(tmp_path) as rig, rig.client(ADMIN) as client:
        whole = await client.post("/api/v1/sessions", content=b"x" * TEN_MB)
        assert (whole.status_code, whole.json()["code"]) == (413, "body_too_large")
        chunked = await client.post("/api/v1/sessions", content=drops())
        assert (chunked.status_code, chunked.json()["code"]) == (413, "body_too_large")
        title = "t" * 200
        fits = await client.post("/api/v1/sessions", json={"title": title})
        assert fits.status_code == 201
        at_limit = await client.post("/api/v1/sessions", content=b" " * BODY_BYTES_MAX)
        assert at_limit.status_code in (400, 422)
        assert (await client.get("/healthz")).status_code == 200


WRONG: Final[list[tuple[Any, str]]] = [
    ({"access_code": "12a4"}, "access_code"),
    ({"organizer_pin": "1"}, "organizer_pin"),
    ({"toll_free": ["XX"]}, "toll_free"),
    ({"toll_free": "US"}, "toll_free"),
    ({"start": "whenever"}, "start"),
    ({"opens": "tomorrow"}, "opens"),
    ({"opens": "2026-02-10T09:00:00"}, "opens"),
    ({"opens": 1_700_000_000}, "opens"),
    ({"language": "xx"}, "language"),
    ({"title": "two\nlines"}, "title"),
    ({"colour": "red"}, "colour"),
    ([], "body"),
    (None, "body"),
]


async def test_a_wrong_body_names_the_key_and_what_was_expected(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        for body, where in WRONG:
            answer = await rig.ask("POST", "/sessions", body)
            assert answer.status_code == 422, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            found = answer.json()
            assert found["code"] == "invalid"
            assert any(where in error["where"] for error in found["errors"]), found
        async with rig.client(ADMIN) as client:
            half = b'{"title": "\\ud800"}'  # half of a surrogate pair is no text
            answer = await client.post("/api/v1/sessions", content=half)
            assert answer.status_code == 422, answer.text
        assert len((await rig.ask("GET", "/sessions")).json()["items"]) == 1


async def test_unknown_ids_are_404_whatever_is_asked_of_them(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        bodies: dict[str, Any] = {
            "lock": {"locked": True},
            "lecture": {"on": True},
            "mute-all": {"muted": True},
            "start": None,
            "end": None,
            "cancel": None,
            "announce": {"prompt": "people"},
            "invitation": {"to": ["ann@example.com"]},
        }
        for name, body in bodies.items():
            answer = await rig.ask("POST", f"/sessions/nobody/{name}", body)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session"), name
        for name, body in {"kick": None, "mute": {"muted": True}, "volume": {"gain_db": 0}}.items():
            answer = await rig.ask("POST", f"/legs/nobody/{name}", body)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_leg"), name
        for name in ("", "/roster", "/numbers", "/charges", "/invitation"):
            assert (await rig.ask("GET", f"/sessions/nobody{name}")).status_code == 404
        assert (await rig.ask("GET", "/join/nobody", token="")).status_code == 404
        assert (await rig.ask("GET", "/accounts/nobody/charges")).status_code == 404
        assert (await rig.ask("GET", "/nothing/here")).json()["code"] == "not_found"
        wrong = await rig.ask("DELETE", "/sessions/s1")
        assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
        assert wrong.headers["allow"] == "GET, PATCH"


async def test_orders_for_a_session_where_nobody_is_are_refused_with_a_code(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        for name, body, code in (
            ("start", None, "no_organizer"),
            ("end", None, "not_open"),
            ("lock", {"locked": True}, "not_open"),
            ("invitation", {"to": ["ann@example.com"]}, "no_mail_server"),
        ):
            answer = await rig.ask("POST", f"/sessions/s1/{name}", body)
            assert (answer.status_code, answer.json()["code"]) == (409, code)


async def test_a_client_that_goes_in_the_middle_of_its_body_leaves_nothing(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        port = int(rig.web.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + ADMIN.encode() + b"\r\nContent-Length: 100\r\n\r\n{"
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert len((await rig.ask("GET", "/sessions")).json()["items"]) == 1


async def test_of_two_starts_at_once_one_starts_and_the_other_is_told_so(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.call("ann")
        await rig.call("olga", organizer=True)
        answers = await asyncio.gather(
            *(rig.ask("POST", "/sessions/s1/start") for _ in range(4)),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        codes = {answer.json().get("code") for answer in answers if answer.status_code == 409}
        assert codes == {"already_started"}
        assert [f.type for f in rig.bridge.facts].count("session.started") == 1
        assert all(view.state is LegState.JOINED for view in rig.bridge.roster())


async def test_a_kick_of_somebody_who_leaves_is_answered_and_he_leaves_once(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        ann = await rig.call("ann")
        bob = await rig.call("bob")
        first, second = rig.leg(ann), rig.leg(bob)
        kicks = await asyncio.gather(*(rig.ask("POST", f"/legs/{first}/kick") for _ in range(3)))
        assert sorted(answer.status_code for answer in kicks) == [200, 404, 404]
        await asyncio.gather(bob.hang_up(), rig.ask("POST", f"/legs/{second}/kick"))
        assert await rig.bridge.wait_for(lambda b: not b.roster(), SOON_S)
        for leg in (first, second):
            left = [f for f in rig.bridge.facts if f.type == "leg.left" and f.subject == leg]
            assert len(left) == 1
            late = await rig.ask("POST", f"/legs/{leg}/kick")
            assert (late.status_code, late.json()["code"]) == (404, "unknown_leg")


async def test_who_hears_that_he_must_go_is_kicked_for_the_reason_he_heard(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        await rig.call("ann")
        await rig.ask("POST", "/sessions/s1/lock", {"locked": True})
        bob = await rig.call("bob", let_in=False)

        def leaving(bridge: Bridge) -> bool:
            return any(view.state is LegState.LEAVING for view in bridge.roster())

        assert await rig.bridge.wait_for(leaving, SOON_S)
        leg = rig.leg(bob)
        assert (await rig.ask("POST", f"/legs/{leg}/mute", {"muted": True})).status_code == 409
        assert (await rig.ask("POST", f"/legs/{leg}/kick")).status_code == 200
        assert await bob.over(SOON_S)
        (left,) = [f for f in rig.bridge.facts if f.type == "leg.left"]
        assert (left.subject, left.data["reason"]) == (leg, "locked")
