"""The tables of running transactions; knows how messages find theirs (RFC 3261 §17.1.3, §17.2.3).

Every entry leaves by a timer of its transaction, so the tables hold what came in the last 64*T1.
"""

from dataclasses import dataclass, field

from bridge.sip import compose, limits
from bridge.sip.api import Address
from bridge.sip.client_tx import ClientKey, ClientState, ClientTx
from bridge.sip.desk import Desk, Flow
from bridge.sip.headers import bracketed
from bridge.sip.messages import Message, Request, Response, parse
from bridge.sip.server_tx import ServerKey, ServerTx

MergeKey = tuple[str, str, int, str]
"""Call-ID, From tag, CSeq number and method (RFC 3261 §8.2.2.2)."""


def server_key(request: Message, method: str) -> ServerKey:
    """Return what matches a request to its transaction; ACK and CANCEL name INVITE's.

    An answer has the same as its request if that was one of RFC 3261. Call-ID and CSeq are in it
    for peers that use one branch for everything.
    """
    via = request.via
    if via.rfc3261:
        return (via.branch, via.host, via.port, method, request.call_id, request.cseq)
    # RFC 2543 peers: §17.2.3, the second list of rules.
    return (request.from_tag, request.echo.vias[0], method, request.call_id, request.cseq)


def _merge_key(request: Request) -> MergeKey:
    return (request.call_id, request.from_tag, request.cseq, request.method)


def _may_merge(request: Request) -> bool:
    """A CANCEL is of one hop: of a forked call each branch gets its own (RFC 3261 §16.10)."""
    return not request.to_tag and request.method != "CANCEL"


@dataclass(slots=True)
class Transactions:
    """All running transactions of one core.

    Attributes:
        chars: what the answers of server transactions repeat, together.
    """

    desk: Desk
    servers: dict[ServerKey, ServerTx] = field(default_factory=dict)
    clients: dict[ClientKey, ClientTx] = field(default_factory=dict)
    merges: dict[MergeKey, ServerKey] = field(default_factory=dict)
    chars: int = 0

    @property
    def full(self) -> bool:
        """True when no further server transaction may be kept."""
        many = len(self.servers) >= limits.TRANSACTIONS_MAX
        return many or self.chars >= limits.TRANSACTIONS_CHARS_MAX

    @property
    def unanswered(self) -> int:
        """How many requests of ours have no final answer yet."""
        waits = (ClientState.CALLING, ClientState.PROCEEDING)
        return sum(tx.state in waits for tx in self.clients.values())

    def open_server(
        self, key: ServerKey, request: Request, flow: Flow, source: Address
    ) -> ServerTx:
        """Keep a new server transaction."""
        vias = compose.stamped_vias(request, source)
        tx = ServerTx(self.desk, key, request, flow, vias)
        self.servers[key] = tx
        self.chars += request.echo.chars
        if _may_merge(request) and request.from_tag:
            self.merges.setdefault(_merge_key(request), key)
        return tx

    def is_merged(self, request: Request, key: ServerKey) -> bool:
        """True when the same request came on another path before (RFC 3261 §8.2.2.2)."""
        return _may_merge(request) and self.merges.get(_merge_key(request), key) != key

    def close_server(self, tx: ServerTx) -> None:
        """Forget a server transaction."""
        self.desk.timers.disarm_all(tx)
        del self.servers[tx.key]
        self.chars -= tx.request.echo.chars
        merge = _merge_key(tx.request)
        if self.merges.get(merge) == tx.key:
            del self.merges[merge]

    def open_client(self, tx: ClientTx) -> None:
        """Keep a new client transaction and send its request."""
        self.clients[tx.key] = tx
        tx.start()

    def close_client(self, tx: ClientTx) -> None:
        """Forget a client transaction."""
        self.desk.timers.disarm_all(tx)
        self.clients.pop(tx.key, None)

    def client_of(self, response: Response) -> ClientTx | None:
        """Return the transaction that a response belongs to."""
        return self.clients.get((response.via.branch, response.method))

    def sender_of(self, data: bytes) -> tuple[ClientTx | ServerTx, Message] | None:
        """Return whose a message of ours is, and the message; only its beginning may be there."""
        head, whole, _ = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n") if whole else head.split(b"\r\n")[:-1]
        kept = [line for line in lines if not line.startswith(b"Content-Length:")]
        message = parse(b"\r\n".join(kept) + b"\r\n\r\n")
        tx: ClientTx | ServerTx | None = None
        if isinstance(message, Response):
            tx = self.servers.get(server_key(message, message.method))
        elif isinstance(message, Request):
            tx = self.clients.get((message.via.branch, message.method))
        else:
            return None
        return None if tx is None else (tx, message)


def via_value(address: Address, transport: str, branch: str) -> str:
    """Return the Via of a request of ours."""
    host = bracketed(address.host)
    return f"SIP/2.0/{transport} {host}:{address.port};branch={branch};rport"
