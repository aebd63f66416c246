"""Scheduling over the API: what is created, what may change, what never does, who sees it."""

import asyncio
from pathlib import Path

import pytest

from bridge.conference.api import LegKind
from tests.bridge.web.rig import OPERATOR, ORGANIZER, OTHER, VIEWER, running


async def test_codes_and_pins_are_random_of_the_configured_length_and_stay(tmp_path: Path) -> None:
    web = {"listen": "127.0.0.1:0", "code_digits": 9, "pin_digits": 7}
    async with running(tmp_path, web=web) as rig:
        first = (await rig.ask("POST", "/sessions", {"toll_free": ["US"]})).json()
        second = (await rig.ask("POST", "/sessions", {})).json()
        assert (len(first["access_code"]), len(first["organizer_pin"])) == (9, 7)
        assert first["access_code"] != second["access_code"]
        assert (first["sequence"], first["state"]) == (0, "scheduled")

        changed = await rig.ask(
            "PATCH", f"/sessions/{first['id']}", {"toll_free": ["US", "FR"], "title": "Weekly"}
        )
        now = changed.json()
        assert now["toll_free"] == ["FR", "US"]
        assert now["sequence"] == 1
        fixed = ("id", "access_code", "organizer_pin", "join_url", "sip_uri")
        assert [now[name] for name in fixed] == [first[name] for name in fixed]

        same = await rig.ask("PATCH", f"/sessions/{first['id']}", {"start": "on_command"})
        assert same.json()["sequence"] == 1, "how it starts is not in the invitation"


async def test_added_countries_change_the_numbers_of_a_scheduled_session(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        before = (await rig.ask("GET", "/sessions/s1/numbers")).json()["items"]
        await rig.ask("PATCH", "/sessions/s1", {"toll_free": ["DE", "US"]})
        after = (await rig.ask("GET", "/sessions/s1/numbers?language=fr")).json()["items"]
        free = [item for item in after if item["kind"] == "toll_free"]
        assert [item["country"] for item in before if item["kind"] == "toll_free"] == ["US"]
        assert [item["country"] for item in free] == ["DE", "US"]
        assert [item["country_name"] for item in free] == ["Allemagne", "États-Unis"]
        did = rig.bridge.plan.did("DE", LegKind.TOLL_FREE)
        assert did is not None
        assert free[0]["e164"] == did.e164
        assert free[1]["national"].startswith("(800) ")
        assert len([item for item in after if item["kind"] == "toll"]) >= 200


async def test_toll_free_is_switched_for_an_account_on_record_and_over_restarts(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        refused = await rig.ask(
            "PUT", "/accounts/acme/toll-free", {"enabled": False}, token=ORGANIZER
        )
        assert refused.status_code == 403
        done = await rig.ask("PUT", "/accounts/acme/toll-free", {"enabled": False})
        assert done.json()["enabled"] is False
        numbers = (await rig.ask("GET", "/sessions/s1/numbers")).json()
        assert not numbers["toll_free_enabled"]
        assert {item["kind"] for item in numbers["items"]} == {"toll"}
    async with running(tmp_path) as rig:
        kept = (await rig.ask("GET", "/accounts/acme/toll-free")).json()
        assert kept["enabled"] is False
        assert [(one["enabled"], one["by"]) for one in kept["record"]] == [(False, "api:ada")]
        await rig.ask("PUT", "/accounts/acme/toll-free", {"enabled": True})
        numbers = (await rig.ask("GET", "/sessions/s1/numbers")).json()
        assert {item["kind"] for item in numbers["items"]} == {"toll", "toll_free"}


async def test_sessions_survive_a_restart_and_cancelled_ones_stay_cancelled(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        kept = (await rig.ask("POST", "/sessions", {"title": "kept"})).json()
        gone = (await rig.ask("POST", "/sessions", {"title": "gone"})).json()
        cancelled = await rig.ask("POST", f"/sessions/{gone['id']}/cancel")
        assert cancelled.json()["state"] == "cancelled"
        again = await rig.ask("POST", f"/sessions/{gone['id']}/cancel")
        assert (again.status_code, again.json()["code"]) == (409, "session_cancelled")
    async with running(tmp_path) as rig:
        found = (await rig.ask("GET", f"/sessions/{kept['id']}")).json()
        hosts = ("join_url", "sip_uri")  # their port is this run's
        assert {k: v for k, v in found.items() if k not in hosts} == {
            k: v for k, v in kept.items() if k not in hosts
        }
        assert found["join_url"].rpartition("/")[2] == kept["join_url"].rpartition("/")[2]
        assert kept["access_code"] in {spec.access_code for spec in rig.bridge.sessions()}
        after = (await rig.ask("GET", f"/sessions/{gone['id']}")).json()
        assert after["state"] == "cancelled"
        changed = await rig.ask("PATCH", f"/sessions/{gone['id']}", {"title": "x"})
        assert changed.status_code == 409
        reused = await rig.ask("POST", "/sessions", {"id": gone["id"]})
        assert (reused.status_code, reused.json()["code"]) == (409, "duplicate_code")


async def test_an_idempotency_key_makes_one_session_however_often_it_is_sent(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        body = {"title": "once", "toll_free": ["US"]}
        made = await asyncio.gather(
            *(rig.ask("POST", "/sessions", body, Idempotency_Key="key-1") for _ in range(8))
        )
        assert {answer.status_code for answer in made} == {201}
        assert len({answer.json()["id"] for answer in made}) == 1
        other = await rig.ask("POST", "/sessions", {"title": "two"}, Idempotency_Key="key-1")
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    async with running(tmp_path) as rig:
        later = await rig.ask("POST", "/sessions", body, Idempotency_Key="key-1")
        assert later.json()["id"] == made[0].json()["id"], "keys are kept over a restart"
        listed = (await rig.ask("GET", "/sessions")).json()["items"]
        assert sum(item["title"] == "once" for item in listed) == 1


async def test_pages_are_followed_by_cursor_and_hold_each_session_once(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        for _ in range(6):
            await rig.ask("POST", "/sessions", {})
        seen: list[str] = []
        path = "/sessions?limit=3"
        while path:
            page = (await rig.ask("GET", path)).json()
            assert len(page["items"]) <= 3
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            path = f"/sessions?limit=3&cursor={cursor}" if cursor else ""
        assert len(seen) == len(set(seen)) == 7
        await rig.ask("POST", f"/sessions/{seen[0]}/cancel")
        live = (await rig.ask("GET", "/sessions?cancelled=false")).json()["items"]
        assert [item["id"] for item in live] == seen[1:]


async def test_a_code_that_is_taken_or_is_a_number_is_refused_and_nothing_is_left(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        taken = await rig.ask("POST", "/sessions", {"access_code": "482913"})
        assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_code")
        did = rig.bridge.plan.did("US", LegKind.TOLL)
        assert did is not None
        number = await rig.ask("POST", "/sessions", {"access_code": did.e164[1:]})
        assert (number.status_code, number.json()["code"]) == (409, "bad_access_code")
        window = {"opens": "2026-02-10T10:00:00Z", "closes": "2026-02-10T10:00:00+01:00"}
        wrong = await rig.ask("POST", "/sessions", window)
        assert (wrong.status_code, wrong.json()["code"]) == (409, "bad_window")
        assert len((await rig.ask("GET", "/sessions")).json()["items"]) == 1


async def test_each_token_sees_its_own_account_and_may_do_what_its_role_says(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        for path in ("/sessions/s1", "/sessions/s1/roster", "/sessions/s1/charges"):
            assert (await rig.ask("GET", path, token=OTHER)).status_code == 404
            assert (await rig.ask("GET", path, token=OPERATOR)).status_code == 200
        assert (await rig.ask("GET", "/accounts/acme/charges", token=OTHER)).status_code == 404
        assert (await rig.ask("GET", "/sessions", token=OTHER)).json()["items"] == []

        seen = await rig.ask("GET", "/sessions/s1", token=VIEWER)
        assert seen.json()["organizer_pin"] is None
        assert (await rig.ask("GET", "/sessions/s1", token=ORGANIZER)).json()["organizer_pin"]
        for method, path in (
            ("POST", "/sessions"),
            ("PATCH", "/sessions/s1"),
            ("POST", "/sessions/s1/cancel"),
            ("POST", "/sessions/s1/start"),
            ("POST", "/legs/nobody/kick"),
        ):
            answer = await rig.ask(method, path, {}, token=VIEWER)
            assert answer.status_code == 403, path
            assert answer.json()["code"] == "forbidden"
        assert (await rig.ask("GET", "/webhooks", token=ORGANIZER)).status_code == 403
        unnamed = await rig.ask("POST", "/sessions", {}, token=OPERATOR)
        assert (unnamed.status_code, unnamed.json()["code"]) == (409, "account_needed")
        named = await rig.ask("POST", "/sessions", {"account": "globex"}, token=OPERATOR)
        assert named.json()["account"] == "globex"
        assert len((await rig.ask("GET", "/sessions", token=OPERATOR)).json()["items"]) == 2


@pytest.mark.parametrize("token", ["", "not-a-token-of-anybody"])
async def test_without_a_known_token_nothing_is_answered_but_health(
    tmp_path: Path, token: str
) -> None:
    async with running(tmp_path) as rig:
        for path in ("/sessions", "/now", "/events", "/accounts"):
            answer = await rig.ask("GET", path, token=token)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"
        async with rig.client("") as client:
            assert (await client.get("/healthz")).json() == {"status": "fine"}


async def test_an_operator_migrates_an_account_on_record(tmp_path: Path) -> None:
    """R17, D8; an account's own administrator cannot, and nonsense is named."""
    path = "/accounts/acme/migrations"
    ovi = {"at": "2031-02-10T00:00:00-05:00", "product": "ovi"}
    async with running(tmp_path) as rig:
        own = await rig.ask("POST", path, ovi)
        assert (own.status_code, own.json()["code"]) == (403, "operator_only")
        done = await rig.ask("POST", path, ovi, token=OPERATOR)
        assert done.status_code == 201, done.text
        no_date = await rig.ask("POST", path, ovi | {"at": "2031-02-30"}, token=OPERATOR)
        assert no_date.status_code == 422
        before = ovi | {"at": "2031-02-01T00:00:00Z"}
        for wrong in (before, {"at": "2031-03-01T00:00:00Z"}, ovi | {"contract": "none"}):
            refused = await rig.ask("POST", path, wrong, token=OPERATOR)
            assert (refused.status_code, refused.json()["code"]) == (409, "bad_migration")
        unknown = await rig.ask("POST", "/accounts/nobody/migrations", ovi, token=OPERATOR)
        assert unknown.status_code == 404
    async with running(tmp_path) as rig:
        kept = (await rig.ask("GET", path)).json()["items"]
        assert [item["product"] for item in kept] == ["integrated", "ovi"]


async def test_a_refusal_says_what_is_expected_and_nothing_of_how_it_is_checked(
    tmp_path: Path,
) -> None:
    wrong = {"title": "Weekly", "account": "acme", "toll_free": ["US", "XX"]}
    async with running(tmp_path) as rig:
        refused = await rig.ask("POST", "/sessions", wrong, token=OPERATOR)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["where"] == "body.toll_free.1"
    assert error["expected"].startswith("expected a country with a toll-free number")
