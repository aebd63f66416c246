"""`tollbridge session`: schedule, look and control over the API of a bridge that runs.

Knows the API and how to print; it must not know the bridge. Exit codes: 0 done, 1 the bridge
refused, 2 wrong use, no token, or no bridge there.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn
from urllib.parse import quote

import httpx
import typer
from rich.console import Console
from rich.table import Table

from bridge.errors import OperatingTrouble

URL: Final = "http://127.0.0.1:8080"
TIMEOUT_S: Final = 30.0
PAGE: Final = 200
EXIT_FAILED: Final = 1
CALL_ENDS: Final = frozenset({"joined", "busy", "no_answer", "declined", "failed"})
CALL_LOOK_S: Final = 0.3
EXIT_BAD_INPUT: Final = 2
BAD_INPUT: Final = frozenset({400, 401, 413, 422})

app = typer.Typer(no_args_is_help=True, help="Schedule and control sessions of a running bridge.")

UrlOption = Annotated[
    str, typer.Option("--url", envvar="TOLLBRIDGE_API_URL", help="Where the bridge's API is.")
]
TokenOption = Annotated[
    str, typer.Option("--token", envvar="TOLLBRIDGE_API_TOKEN", help="A token of the bridge.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SessionArgument = Annotated[str, typer.Argument(help="A session's id.")]
SecurityOption = Annotated[str, typer.Option(help="3 to 20 digits, keyed after the code (R18).")]
EntryOption = Annotated[str, typer.Option(help="tone, name or nothing: heard of who comes.")]
SeatsOption = Annotated[int | None, typer.Option(help="How many people may be in it.")]
ContinueOption = Annotated[
    int | None, typer.Option(help="Minutes it goes on without organizer, 0 to 60 (D17).")
]
LegArgument = Annotated[str, typer.Argument(help="A leg's id, as `roster` shows it.")]


class _Api:
    """One bridge's API with one token."""

    def __init__(self, url: str, token: str) -> None:
        if not token:
            _fail("no token: give --token or set TOLLBRIDGE_API_TOKEN", EXIT_BAD_INPUT)
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )
        self._url = url

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask once; end with 1 when refused, with 2 when asked wrongly or nobody is there."""
        try:
            answer = self._client.request(method, path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            raise OperatingTrouble(f"{self._url}: {fault}: is the bridge running?") from fault
        if answer.is_success:
            is_json = answer.headers.get("content-type", "").startswith("application/json")
            return answer.json() if is_json else answer.text
        try:
            problem = answer.json()
            message = f"{problem['code']}: {problem['detail']}"
        except (ValueError, KeyError, TypeError):
            message = f"{self._url}: answered {answer.status_code}, not a bridge's answer"
        _fail(message, EXIT_BAD_INPUT if answer.status_code in BAD_INPUT else EXIT_FAILED)

    def save(self, path: str, file: Path) -> None:
        """Download what is there into a file."""
        try:
            with self._client.stream("GET", path) as answer:
                if not answer.is_success:
                    _fail(f"{path}: answered {answer.status_code}", EXIT_FAILED)
                with file.open("wb") as out:
                    for block in answer.iter_bytes():
                        out.write(block)
        except (httpx.HTTPError, OSError) as fault:
            raise OperatingTrouble(f"{file}: {fault}") from fault

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield events until the bridge ends the stream."""
        try:
            with self._client.stream("GET", "/events", timeout=None) as answer:
                if not answer.is_success:
                    _fail(f"answered {answer.status_code}", EXIT_BAD_INPUT)
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))
        except httpx.HTTPError as fault:
            raise OperatingTrouble(f"{self._url}: {fault}") from fault


def _fail(message: str, status: int) -> NoReturn:
    print(f"tollbridge: {message}", file=sys.stderr)
    raise SystemExit(status)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=True, highlight=False, markup=False).print(table)


def _print_session(session: dict[str, Any]) -> None:
    window = "standing room" if not session["opens"] else session["opens"]
    for name, value in (
        ("id", session["id"]),
        ("account", session["account"]),
        ("title", session["title"]),
        ("state", session["state"]),
        ("access code", f"{session['access_code']}#"),
        ("organizer PIN", session["organizer_pin"] or "(not shown to viewers)"),
        ("security code", f"{session['security_code']}#" if session["security_code"] else ""),
        ("starts", session["start"]),
        ("opens", window),
        ("toll-free", " ".join(session["toll_free"]) or "none"),
        ("join URL", session["join_url"]),
        ("SIP", session["sip_uri"]),
    ):
        if value:
            typer.echo(f"{name:<14} {value}")


# --- schedule -----------------------------------------------------------------------------


@app.command(epilog="Example: tollbridge session create --title Weekly --toll-free US,FR")
def create(
    title: Annotated[str, typer.Option(help="What it is called.")] = "",
    toll_free: Annotated[str, typer.Option(help="Countries, such as US,FR.")] = "",
    start: Annotated[str, typer.Option(help="on_join or on_command.")] = "on_join",
    opens: Annotated[str, typer.Option(help="A time such as 2026-12-01T15:00:00+01:00.")] = "",
    closes: Annotated[str, typer.Option(help="As --opens; none for a standing room.")] = "",
    language: Annotated[str, typer.Option(help="en fr it de es pt nl")] = "en",
    security_code: SecurityOption = "",
    entry: EntryOption = "",
    seats: SeatsOption = None,
    continue_minutes: ContinueOption = None,
    account: Annotated[str, typer.Option(help="Needed with an operator's token.")] = "",
    as_json: JsonOption = False,
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """Create a session; its access code and PIN are random."""
    body = {
        "title": title,
        "toll_free": _countries(toll_free),
        "start": start,
        "language": language,
        "opens": opens or None,
        "closes": closes or None,
        "security_code": security_code or None,
        "entry": entry or None,
        "participants_max": seats,
        "continue_minutes": continue_minutes,
        "account": account or None,
    }
    session = _Api(url, token).ask("POST", "/sessions", body)
    _print_json(session) if as_json else _print_session(session)


def _countries(text: str) -> list[str]:
    return [country.strip().upper() for country in text.split(",") if country.strip()]


@app.command(epilog="Example: tollbridge session show s1")
def show(
    session: SessionArgument,
    as_json: JsonOption = False,
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """Print one session."""
    found = _Api(url, token).ask("GET", f"/sessions/{_part(session)}")
    _print_json(found) if as_json else _print_session(found)


def _part(text: str) -> str:
    """Return an id as one part of a path."""
    return quote(text, safe="")


@app.command("list", epilog="Example: tollbridge session list --json")
def list_(as_json: JsonOption = False, url: UrlOption = URL, token: TokenOption = "") -> None:
    """Print every session that is not cancelled."""
    api = _Api(url, token)
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.ask("GET", f"/sessions?cancelled=false&limit={PAGE}&cursor={cursor}")
        items += page["items"]
        cursor = page["next_cursor"]
    if as_json:
        _print_json(items)
        return
    rows = [
        [
            s["id"],
            s["account"],
            s["state"],
            f"{s['access_code']}#",
            " ".join(s["toll_free"]),
            s["title"],
        ]
        for s in items
    ]
    _print_table(["id", "account", "state", "code", "toll-free", "title"], rows)


@app.command(epilog="Example: tollbridge session cancel s1")
def cancel(session: SessionArgument, url: UrlOption = URL, token: TokenOption = "") -> None:
    """Cancel a session: who waits is sent away, its code is not accepted any more (R6)."""
    _Api(url, token).ask("POST", f"/sessions/{_part(session)}/cancel")
    typer.echo(f"{session} is cancelled")


@app.command(epilog="Example: tollbridge session numbers s1 --add DE,FR")
def numbers(
    session: SessionArgument,
    add: Annotated[str, typer.Option(help="Toll-free countries to add (R10).")] = "",
    remove: Annotated[str, typer.Option(help="Toll-free countries to take away.")] = "",
    toll: Annotated[bool, typer.Option("--toll", help="Print the toll numbers too.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """Print the numbers that a session offers, after adding or taking away countries."""
    api, path = _Api(url, token), f"/sessions/{_part(session)}"
    if add or remove:
        now = set(api.ask("GET", path)["toll_free"])
        wanted = (now | set(_countries(add))) - set(_countries(remove))
        api.ask("PATCH", path, {"toll_free": sorted(wanted)})
    found = api.ask("GET", f"{path}/numbers")
    items = [one for one in found["items"] if toll or one["kind"] == "toll_free"]
    if as_json:
        _print_json(items)
        return
    if not found["toll_free_enabled"]:
        typer.echo("toll-free numbers are switched off for this account (R13)")
    rows = [[n["country"], n["kind"], n["international"], n["national"]] for n in items]
    _print_table(["country", "kind", "from abroad", "inside"], rows)


@app.command("toll-free", epilog="Example: tollbridge session toll-free acme --off")
def toll_free(
    account: Annotated[str, typer.Argument(help="An account's id.")],
    on: Annotated[
        bool | None, typer.Option("--on/--off", help="Switch its toll-free numbers; an admin's.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """Print whether an account's toll-free numbers are on, and every switching (R13, D16)."""
    api, path = _Api(url, token), f"/accounts/{_part(account)}/toll-free"
    if on is not None:
        api.ask("PUT", path, {"enabled": on})
    found = api.ask("GET", path)
    if as_json:
        _print_json(found)
        return
    typer.echo(f"toll-free numbers of {account} are {'on' if found['enabled'] else 'off'}")
    for one in found["record"]:
        typer.echo(f"{one['at']}  {'on' if one['enabled'] else 'off':<4} by {one['by']}")


@app.command(epilog="Example: tollbridge session invite s1 --language de --to ann@example.com")
def invite(
    session: SessionArgument,
    to: Annotated[list[str], typer.Option(help="Send it there by mail; may be repeated.")] = [],  # noqa: B006 - Typer reads it and makes its own
    language: Annotated[str, typer.Option(help="en fr it de es pt nl")] = "",
    form: Annotated[str, typer.Option("--format", help="text, html, ics or json.")] = "text",
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """Print the invitation, or send it by mail."""
    api, path = _Api(url, token), f"/sessions/{_part(session)}/invitation"
    if to:
        body: dict[str, Any] = {"to": to, "language": language or None}
        done = api.ask("POST", path, body)
        for address in done["sent"]:
            typer.echo(f"sent to {address}")
        for address, why in done["refused"].items():
            typer.echo(f"refused: {address}: {why}", err=True)
        if done["refused"]:
            raise typer.Exit(EXIT_FAILED)
        return
    chosen = f"&language={language}" if language else ""
    found = api.ask("GET", f"{path}?format={form}{chosen}")
    _print_json(found) if form == "json" else typer.echo(found, nl=False)


# --- look and control ---------------------------------------------------------------------


@app.command(epilog="Example: tollbridge session roster s1")
def roster(
    session: SessionArgument,
    as_json: JsonOption = False,
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """Print who is in, waiting and hosting."""
    found = _Api(url, token).ask("GET", f"/sessions/{_part(session)}/roster")
    if as_json:
        _print_json(found)
        return
    rows = [
        [
            leg["leg"],
            leg["name"] or leg["number"] or "anonymous",
            " ".join(filter(None, (leg["via"], leg["country"]))),
            "hosting" if leg["hosting"] else leg["state"],
            "muted" if leg["muted"] else "",
            f"{leg['talk_ms'] // 60_000}:{leg['talk_ms'] // 1_000 % 60:02}",
        ]
        for leg in found["legs"]
    ]
    _print_table(["leg", "who", "joined by", "state", "", "talk time"], rows)


@app.command(epilog="Example: tollbridge session recordings s1 --save out/")
def recordings(
    session: SessionArgument,
    save: Annotated[Path | None, typer.Option(help="Download them all into a folder.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """List a session's recordings, or download them (R12)."""
    api, path = _Api(url, token), f"/sessions/{_part(session)}/recordings"
    items = api.ask("GET", path)["items"]
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        for item in items:
            api.save(f"{path}/{_part(item['name'])}", save / item["name"])
            typer.echo(str(save / item["name"]))
    elif as_json:
        _print_json(items)
    else:
        rows = [
            [
                item["name"],
                item["leg"] or "everybody",
                "running" if item["recording"] else f"{item['seconds'] or 0:.1f} s",
                f"{item['bytes'] / 1e6:.1f} MB",
                item["kept_until"][:10],
            ]
            for item in items
        ]
        _print_table(["file", "of", "length", "size", "kept until"], rows)


@app.command(epilog="Example: tollbridge session watch s1 --json")
def watch(
    session: Annotated[str, typer.Argument(help="A session's id; all when left out.")] = "",
    count: Annotated[int, typer.Option(min=0, help="End after so many events; 0: never.")] = 0,
    as_json: JsonOption = False,
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """Print events as they happen, until Ctrl-C."""
    seen = 0
    for event in _Api(url, token).events():
        if session not in ("", event["session"]):
            continue
        if as_json:
            typer.echo(json.dumps(event))
        else:
            rest = {k: v for k, v in event["data"].items() if k not in ("account", "session")}
            shown = " ".join(f"{key}={value}" for key, value in rest.items())
            typer.echo(f"{event['time']}  {event['type']:<22} {shown}")
        sys.stdout.flush()
        seen += 1
        if seen == count:
            return


@app.command(epilog="Example: tollbridge session start s1")
def start(session: SessionArgument, url: UrlOption = URL, token: TokenOption = "") -> None:
    """Start by command; an organizer must be there (D2)."""
    _Api(url, token).ask("POST", f"/sessions/{_part(session)}/start")
    typer.echo(f"{session} is started")


@app.command(epilog="Example: tollbridge session end s1")
def end(session: SessionArgument, url: UrlOption = URL, token: TokenOption = "") -> None:
    """End the open occurrence: every leg is hung up."""
    _Api(url, token).ask("POST", f"/sessions/{_part(session)}/end")
    typer.echo(f"{session} is ended")


@app.command("call-me", epilog="Example: tollbridge session call-me s1 +12125550123 --name Ann")
def call_me(
    session: SessionArgument,
    number: Annotated[str, typer.Argument(help="E.164, such as +12125550123.")],
    name: Annotated[str, typer.Option(help="Who is called, for the roster.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Say what becomes of it, until the end.")] = (
        False
    ),
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """Call somebody into the session; he presses 1 to be let in (R14, D11).

    With --wait the exit code is 0 when he joined and 1 when he did not.
    """
    api, path = _Api(url, token), f"/sessions/{_part(session)}/call-me"
    leg = api.ask("POST", path, {"number": number, "name": name})["leg"]
    if not wait:
        typer.echo(f"{leg} is being called; `tollbridge session watch {session}` tells more")
        return
    shown = ""
    while True:
        call = next(one for one in api.ask("GET", path)["items"] if one["leg"] == leg)
        said = f"{call['state']} (try {call['attempt']}, {call['reason']})"
        if said != shown:
            typer.echo(said)
            shown = said
        if call["state"] in CALL_ENDS and not call["again"]:
            raise typer.Exit(0 if call["state"] == "joined" else EXIT_FAILED)
        time.sleep(CALL_LOOK_S)


@app.command(epilog="Example: tollbridge session mute leg-4f9k2m0a1b2c3d4e --off")
def mute(
    leg: LegArgument,
    off: Annotated[bool, typer.Option("--off", help="Unmute.")] = False,
    url: UrlOption = URL,
    token: TokenOption = "",
) -> None:
    """Mute or unmute a leg."""
    _Api(url, token).ask("POST", f"/legs/{_part(leg)}/mute", {"muted": not off})
    typer.echo(f"{leg} is {'not muted' if off else 'muted'}")


@app.command(epilog="Example: tollbridge session kick leg-4f9k2m0a1b2c3d4e")
def kick(leg: LegArgument, url: UrlOption = URL, token: TokenOption = "") -> None:
    """Hang a leg up."""
    _Api(url, token).ask("POST", f"/legs/{_part(leg)}/kick")
    typer.echo(f"{leg} is hung up")
