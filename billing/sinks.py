"""Outlets of the event stream: a file, OpenMeter, Lago, NATS JetStream; each sends one batch.

A sink returns when all events of the batch are acknowledged. It raises `SinkDown` when the batch is
to be sent again later, with the same ids, and `SinkRefused` when that would be of no use, since it
is an event that the sink does not take. None of them knows the store.
"""

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

from billing.settings import SinkConfig
from billing.stream import SETTLED
from billing.times import parse_time_ms

Event = Mapping[str, Any]
ANSWER_BYTES_MAX: Final = 65_536
BATCH_TYPE: Final = "application/cloudevents-batch+json"
NATS_DUPLICATES_S: Final = 32 * 86_400
"""How long a stream that is created here remembers ids."""


NOT_THE_EVENT: Final = frozenset({401, 403, 404, 405, 407, 408, 421, 425, 429})
"""4xx that speak of the address, the token or the moment, not of what was sent."""

CONFLICT: Final = 409


class SinkDown(Exception):
    """A sink did not acknowledge; the batch stays to be sent."""


class SinkRefused(Exception):
    """A sink does not take an event of the batch, however often it is sent."""


def send(config: SinkConfig, events: Sequence[Event]) -> None:
    """Send a batch, in order; return only when all of it is acknowledged."""
    _SENDERS[config.type](config, events)


def _to_file(config: SinkConfig, events: Sequence[Event]) -> None:
    text = "".join(_json(event) + "\n" for event in events)
    try:
        with Path(config.target).open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SinkDown(str(error)) from None


def _to_openmeter(config: SinkConfig, events: Sequence[Event]) -> None:
    body = "[" + ",".join(_json(event) for event in events) + "]"
    status, answer = _post(config, body, BATCH_TYPE)
    if status == CONFLICT and len(events) == 1:
        return  # it has that id already; of a batch it would not say which
    _check(status, answer)


def _check(status: int, answer: str) -> None:
    if 200 <= status < 300:
        return
    said = f"HTTP {status}: {answer[:200]}"
    if 400 <= status < 500 and status not in NOT_THE_EVENT:
        raise SinkRefused(said)
    raise SinkDown(said)


def _to_lago(config: SinkConfig, events: Sequence[Event]) -> None:
    """Send one by one: Lago refuses a whole batch for one event it has already."""
    for event in events:
        if event["type"] != SETTLED:
            continue
        status, answer = _post(config, json.dumps({"event": lago_event(event)}), "application/json")
        known = status == 422 and "value_already_exist" in answer
        if not known and status != CONFLICT:
            _check(status, answer)


def lago_event(event: Event) -> dict[str, Any]:
    """Return an event in Lago's form: the id is its transaction, the account its subscription.

    Lago takes seconds with a fraction as text, so no millisecond is lost.
    """
    seconds, millis = divmod(parse_time_ms(event["time"]), 1_000)
    return {
        "transaction_id": f"{event['source']}:{event['id']}",
        "external_subscription_id": event["subject"],
        "code": event["type"].replace(".", "_"),
        "timestamp": f"{seconds}.{millis:03d}",
        "properties": {k: v for k, v in event["data"].items() if v is not None},
    }


def _to_nats(config: SinkConfig, events: Sequence[Event]) -> None:
    try:
        asyncio.run(asyncio.wait_for(_publish(config, events), config.timeout_s))
    except ModuleNotFoundError:
        raise SinkDown("NATS needs nats-py: pip install 'tollbridge[nats]'") from None
    except TimeoutError:
        raise SinkDown(f"no acknowledgement within {config.timeout_s} s") from None


async def _publish(config: SinkConfig, events: Sequence[Event]) -> None:
    import nats
    from nats.errors import Error
    from nats.js.errors import NotFoundError

    async def quiet(_error: Exception) -> None:
        """The failure is raised where it matters; the library would print it as well."""

    try:
        connection = await nats.connect(
            config.target,
            token=_token(config) or None,
            allow_reconnect=False,
            connect_timeout=config.timeout_s,
            error_cb=quiet,
        )
    except (Error, OSError) as error:
        raise SinkDown(f"{config.target}: {error!r}") from None
    try:
        jetstream = connection.jetstream(timeout=config.timeout_s)
        try:
            await jetstream.stream_info(config.stream)
        except NotFoundError:
            await jetstream.add_stream(
                name=config.stream,
                subjects=[f"{config.subject}.>"],
                duplicate_window=NATS_DUPLICATES_S,
            )
        for event in events:
            await jetstream.publish(
                f"{config.subject}.{event['type']}",
                _json(event).encode(),
                stream=config.stream,
                headers={"Nats-Msg-Id": f"{event['source']}:{event['id']}"},
            )
    except (Error, OSError) as error:
        raise SinkDown(f"{config.target}: {error!r}") from None
    finally:
        await connection.close()


def _post(config: SinkConfig, body: str, content_type: str) -> tuple[int, str]:
    headers = {"Content-Type": content_type}
    token = _token(config)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(config.target, body.encode(), headers, method="POST")
    try:
        with _OPENER.open(request, timeout=config.timeout_s) as answer:
            return answer.status, answer.read(ANSWER_BYTES_MAX).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(ANSWER_BYTES_MAX).decode(errors="replace")
    except (OSError, ValueError, HTTPException) as error:
        raise SinkDown(f"{config.target}: {error!r}") from None


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would ask with GET, and show the token to whoever is there."""

    def redirect_request(self, *_: object) -> None:
        """Leave the answer what it is, an error."""


_OPENER: Final = urllib.request.build_opener(_StayHere)


def _token(config: SinkConfig) -> str:
    """Read the secret from its file, each time: it may be rotated."""
    if not config.token_file:
        return ""
    try:
        return Path(config.token_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SinkDown(f"token_file: {error}") from None


def _json(event: Event) -> str:
    return json.dumps(event, separators=(",", ":"))


_SENDERS: Final[Mapping[str, Callable[[SinkConfig, Sequence[Event]], None]]] = {
    "file": _to_file,
    "openmeter": _to_openmeter,
    "lago": _to_lago,
    "nats": _to_nats,
}
