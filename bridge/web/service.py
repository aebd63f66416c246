"""The web side of one bridge: its parts put together, and uvicorn on the bridge's own loop.

Knows how to start and to stop; decides nothing. It must not hold the loop: every disk and every
other machine is asked in a thread or awaited.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Final, Self

import structlog
import uvicorn

from bridge.conference.api import Fact, Notice
from bridge.errors import OperatingTrouble
from bridge.ids import new_id
from bridge.server import Bridge
from bridge.session_store import SessionStore
from bridge.web.app import build
from bridge.web.auth import Tokens
from bridge.web.charges import Charges
from bridge.web.context import Context
from bridge.web.feed import Feed
from bridge.web.now import Now
from bridge.web.sessions import Scheduler
from bridge.web.speech import Speech
from bridge.web.webhooks import Sender
from bridge.web_settings import TokenSettings

BACKLOG: Final = 256
STOP_S: Final = 3

log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the bridge's owner decides when it ends.

    Attributes:
        listening: set once requests are taken.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebService:
    """REST, events, metrics and the page of one bridge."""

    def __init__(self, context: Context, server: _Server, sock: socket.socket) -> None:
        self.context = context
        self._server = server
        self._socket = sock
        self._serving: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    @classmethod
    async def start(cls, bridge: Bridge, tokens: list[TokenSettings]) -> Self:
        """Listen for HTTP beside a bridge that has been started.

        Raises:
            OperatingTrouble: the address cannot be bound, or the store cannot be opened.
        """
        sock = _bind(bridge)
        settings = bridge.settings
        source = f"/tollbridge/{settings.cluster.id}"
        store = await asyncio.to_thread(SessionStore, settings.store.outbox_url, source)
        feed, now = Feed(store, new_id()), Now()
        context = Context(
            bridge=bridge,
            store=store,
            feed=feed,
            now=now,
            scheduler=Scheduler(bridge, store, feed.take),
            charges=Charges(settings, now),
            sender=Sender(store, feed),
            speech=Speech(bridge),
            base_url=settings.web.public_url or _url(sock),
        )
        config = uvicorn.Config(
            build(context, Tokens(tokens)),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=STOP_S,
        )
        service = cls(context, _Server(config), sock)
        await service._begin()
        return service

    async def _begin(self) -> None:
        bridge = self.context.bridge
        self._unsubscribe = bridge.subscribe(self._take)
        await self.context.scheduler.restore()
        await self.context.sender.start()
        self._serving = asyncio.get_running_loop().create_task(
            self._server.serve(sockets=[self._socket])
        )
        await self._server.listening.wait()
        log.info("web.listening", url=self.url)

    def _take(self, item: Fact | Notice) -> None:
        self.context.now.take(item)
        self.context.feed.take(item)

    @property
    def url(self) -> str:
        """Where it is heard."""
        return _url(self._socket)

    async def stop(self) -> None:
        """End every stream, answer what is being asked, then close."""
        self._unsubscribe()
        self.context.feed.close()
        await self.context.sender.stop()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        self._socket.close()
        await asyncio.to_thread(self.context.store.close)


def _bind(bridge: Bridge) -> socket.socket:
    host, port = bridge.settings.web.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, asyncio sets TCP_NODELAY on what is accepted; else every answer waits 40 ms.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as fault:
        sock.close()
        listen = bridge.settings.web.listen
        raise OperatingTrouble(f"web.listen {listen}: {fault.strerror}") from fault
    return sock


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
