"""What the halves of the core share: tables of calls, replies, requests in dialogs, the end.

Knows how a message of ours looks, not when it is due.
"""

from dataclasses import dataclass, field
from zlib import crc32

from bridge.sip import compose, limits
from bridge.sip.api import Address, CallEnded, EndCause
from bridge.sip.call import Call, CallState
from bridge.sip.client_tx import ClientTx, Purpose
from bridge.sip.compose import Outgoing, Pairs
from bridge.sip.desk import Desk, Flow
from bridge.sip.dialog import Dialog, DialogKey
from bridge.sip.headers import bracketed
from bridge.sip.messages import Echo
from bridge.sip.offer import layout_of, read_answer
from bridge.sip.sdp import parse_sdp
from bridge.sip.server_tx import ServerTx
from bridge.sip.session_timer import SessionTimer
from bridge.sip.timers import Timer
from bridge.sip.transactions import Transactions, via_value
from bridge.units import LegId


@dataclass(slots=True)
class Exchange:
    """All calls of one core and what is needed to serve them.

    Attributes:
        legs: calls whose end was not reported yet; their number is what `calls_max` limits.
        dialogs: the same and those that ended a short while ago.
        allowed: the methods that are understood; `allow` is the header that says so.
    """

    desk: Desk
    transactions: Transactions
    legs: dict[LegId, Call] = field(default_factory=dict)
    dialogs: dict[DialogKey, Call] = field(default_factory=dict)
    allowed: tuple[str, ...] = field(init=False)
    allow: tuple[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Know what is understood, for our Allow: all of it must be there (RFC 3261 §20.5)."""
        registers = ("REGISTER",) if self.desk.config.users else ()
        self.allowed = (*limits.ALLOWED, *registers)
        self.allow = ("Allow", ", ".join(self.allowed))

    def agree(self, call: Call, body: bytes) -> bool:
        """Take an answer to our offer; return whether it changes what was agreed.

        Raises:
            SipRemoteError: it cannot be read, or nothing in it can be used.
        """
        sdp, config = parse_sdp(body), self.desk.config
        chosen = read_answer(
            sdp,
            config.codecs,
            index=call.stream,
            before=call.remote,
            ours=call.own_formats(),
            six=config.rtp_six,
        )
        call.layout = call.layout or layout_of(sdp)
        return call.take(chosen)

    # --- answers --------------------------------------------------------------------------

    def reply(
        self,
        tx: ServerTx,
        status: int,
        *,
        tag: str = "",
        phrase: str = "",
        headers: Pairs = (),
        body: bytes = b"",
    ) -> bytes:
        """Answer a request and return what was sent; a new tag is made when none is known."""
        request = tx.request
        if not request.to_tag and not tag and status > 100:
            tag = tx.call.dialog.local_tag if tx.call else self.desk.ids()
        data = compose.answer(
            Echo(tx.vias, *request.echo[1:]),
            status,
            to_tag="" if request.to_tag else tag,
            phrase=phrase,
            headers=(*headers, ("Server", self.desk.config.user_agent)),
            body=body,
        )
        tx.respond(status, data)
        return data

    def refuse(
        self,
        tx: ServerTx,
        status: int,
        reason: str,
        *,
        source: Address,
        phrase: str = "",
        headers: Pairs = (),
    ) -> None:
        """Answer a request with an error and count it under `reason`."""
        self.desk.drop(reason, source)
        self.reply(tx, status, phrase=phrase, headers=headers)

    # --- our own requests -----------------------------------------------------------------

    def contact(self, flow: Flow, dialog: Dialog, user: str = "bridge") -> tuple[str, str]:
        """Return our Contact header; a sips URI where RFC 3261 §12.1.1 wants one."""
        host, port = self._told(flow)
        if dialog.sips and flow.transport == "TLS":
            return ("Contact", f"<sips:{user}@{bracketed(host)}:{port}>")
        suffix = f";transport={flow.transport.lower()}" if flow.reliable else ""
        return ("Contact", f"<sip:{user}@{bracketed(host)}:{port}{suffix}>")

    def new_via(self, flow: Flow) -> tuple[str, str]:
        """Return a fresh branch and the Via that holds it."""
        branch = limits.BRANCH_COOKIE + self.desk.ids()
        return branch, via_value(self._told(flow), flow.transport, branch)

    def next_flow(self, dialog: Dialog) -> Flow:
        """Return where the next request in a dialog goes, and how."""
        return dialog.next_flow(tcp=self.desk.config.tcp)

    def _told(self, flow: Flow) -> Address:
        """Return the address of ours that the other side of a flow is told."""
        config = self.desk.config
        return (flow.transport == "TLS" and config.tls_contact) or config.contact

    def launch(
        self,
        call: Call,
        purpose: Purpose,
        method: str,
        *,
        headers: Pairs = (),
        body: bytes = b"",
        dialog: Dialog | None = None,
    ) -> ClientTx:
        """Send a request within a dialog and keep its transaction."""
        dialog = dialog or call.dialog
        flow = self.next_flow(dialog)
        branch, via = self.new_via(flow)
        request = dialog.request(method, via)
        return self.transact(
            call, purpose, request, branch=branch, flow=flow, headers=headers, body=body
        )

    def transact(
        self,
        call: Call,
        purpose: Purpose,
        request: Outgoing,
        *,
        branch: str,
        flow: Flow,
        headers: Pairs = (),
        body: bytes = b"",
    ) -> ClientTx:
        """Send a request and keep its transaction."""
        agent = ("User-Agent", self.desk.config.user_agent)
        data = compose.write(request, (*headers, agent), body)
        key = (branch, request.method)
        tx = ClientTx(self.desk, purpose, request, data, key=key, flow=flow, call=call)
        self.transactions.open_client(tx)
        return tx

    def acknowledge(self, dialog: Dialog, cseq: int) -> tuple[Flow, bytes]:
        """Send the ACK of a 2xx; return it, to be repeated with the 2xx."""
        flow = self.next_flow(dialog)
        _, via = self.new_via(flow)
        data = compose.write(dialog.request("ACK", via, cseq))
        self.desk.send(flow, data)
        return flow, data

    def bye(self, call: Call, dialog: Dialog | None = None) -> None:
        """Send BYE."""
        headers = compose.reason_header(call.reason)
        self.launch(call, Purpose.BYE, "BYE", headers=headers, dialog=dialog)

    # --- life and end ---------------------------------------------------------------------

    def new_sdp_id(self) -> int:
        """Return a session id for the o= lines of one call."""
        return crc32(self.desk.ids().encode()) + 1

    def admit(self, call: Call) -> None:
        """Keep a new call."""
        self.legs[call.leg] = call
        self.dialogs[call.dialog.key] = call

    def report_end(self, call: Call, cause: EndCause, status: int | None = None) -> None:
        """Tell the server, once, that a call is over."""
        if not call.reported:
            call.reported = True
            del self.legs[call.leg]
            self.desk.notify(CallEnded(call.leg, cause, status))

    def retire(self, call: Call) -> None:
        """Stop all that a call waits for; forget it once no late message can come."""
        assert call.state is CallState.ENDED
        self.desk.timers.disarm_all(call)
        call.answered = call.reliable = call.reoffer = call.queued = None
        call.offer = call.chosen = None
        self.desk.arm(call, Timer.FORGET, self.desk.give_up_ns)

    def forget(self, call: Call) -> None:
        """Drop the last trace of a call."""
        self.dialogs.pop(call.dialog.key, None)

    # --- session timer --------------------------------------------------------------------

    def keep_alive(self, call: Call, timer: SessionTimer | None) -> None:
        """Start a session interval, or none."""
        timers = self.desk.timers
        call.session_timer = timer
        timers.disarm(call, Timer.REFRESH)
        timers.disarm(call, Timer.EXPIRE)
        if timer is not None:
            self.desk.arm(call, Timer.EXPIRE, timer.expire_after_ns)
            if timer.we_refresh:
                self.desk.arm(call, Timer.REFRESH, timer.refresh_after_ns)
