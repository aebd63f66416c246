"""Dialogs (RFC 3261 §12): identity, route set, remote target and CSeq both ways; sends nothing."""

from dataclasses import dataclass

from bridge.sip.api import Address
from bridge.sip.compose import Outgoing, is_port
from bridge.sip.desk import Flow, any_port
from bridge.sip.headers import is_private, literal_ip, parse_name_addr, parse_uri
from bridge.sip.messages import Request, Response

DialogKey = tuple[str, str, str]
"""Call-ID, local tag, remote tag."""


@dataclass(slots=True)
class Dialog:
    """One dialog, complete or early.

    Attributes:
        local, remote: the raw From/To values of the two sides, with their tags.
        local_cseq: of our last request. remote_cseq: of theirs, -1 before the first.
        routes: raw values in the order our requests follow them.
        target: URI of the other side's Contact.
        flow: where the other side's messages come from; used when the target cannot be.
        sips: it was opened with a sips URI, so our Contact is one too where TLS carries it.
    """

    call_id: str
    local_tag: str
    remote_tag: str
    local: str
    remote: str
    local_cseq: int
    remote_cseq: int
    routes: tuple[str, ...]
    target: str
    flow: Flow
    sips: bool = False

    @property
    def key(self) -> DialogKey:
        """What messages of this dialog are found by."""
        return (self.call_id, self.local_tag, self.remote_tag)

    def in_order(self, cseq: int) -> bool:
        """Take the CSeq of a request of the other side; false when it is not a new one."""
        if cseq <= self.remote_cseq:
            return False
        self.remote_cseq = cseq
        return True

    def request(self, method: str, via: str, cseq: int | None = None) -> Outgoing:
        """Return the next request in this dialog (RFC 3261 §12.2.1.1); ACK brings its CSeq."""
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        uri, routes = self.target, self.routes
        if routes and not _is_loose(routes[0]):
            # A strict router: it goes into the request URI, the target to the end of the route.
            uri, routes = _uri(routes[0]), (*routes[1:], f"<{self.target}>")
        return Outgoing(
            method=method,
            uri=uri,
            via=via,
            routes=routes,
            from_=self.local,
            to=self.remote,
            call_id=self.call_id,
            cseq=cseq,
        )

    def next_flow(self, *, tcp: bool = False) -> Flow:
        """Return where the next request goes: the first route, else the remote target.

        A URI that names its transport is reached by it, where we have TCP (RFC 3263 §4.1).

        The core looks up no names and sends to no port that is none: then, and for a private
        address behind a public one (NAT), it goes where the messages come from. So it does over
        a stream as long as that is open.
        """
        uri = parse_uri(_uri(self.routes[0]) if self.routes else self.target)
        host = literal_ip(uri.host)
        port = any_port(self.flow.transport) if uri.port is None else uri.port
        if host is None or not is_port(port) or uri.scheme != "sip":
            return self.flow
        seen = self.flow.destination.host
        if is_private(host) and not is_private(seen):
            return self.flow
        if (":" in host) != (":" in seen):
            return self.flow
        named = (uri.params.get("transport") or "").upper()
        if self.flow.transport == "UDP" and named == "TCP" and tcp:
            return Flow(Address(host, port), None, "TCP")
        if self.flow.transport == "TCP" and named == "UDP":
            return Flow(Address(host, port), None, "UDP")
        if self.flow.reliable:
            return self.flow._replace(instead=Address(host, port))
        return self.flow._replace(destination=Address(host, port))


def _uri(route: str) -> str:
    return parse_name_addr(route).uri


def _is_loose(route: str) -> bool:
    return "lr" in parse_uri(_uri(route)).params


def dialog_of_request(request: Request, local_tag: str, flow: Flow) -> Dialog:
    """Return the dialog that our answer to an INVITE opens (RFC 3261 §12.1.1)."""
    assert request.contact is not None
    return Dialog(
        call_id=request.call_id,
        local_tag=local_tag,
        remote_tag=request.from_tag,
        local=f"{request.echo.to};tag={local_tag}",
        remote=request.echo.from_,
        local_cseq=0,
        remote_cseq=request.cseq,
        routes=request.record_route,
        target=request.contact,
        flow=flow,
        sips=_is_sips(request),
    )


def _is_sips(request: Request) -> bool:
    """True when a sips URI opens the dialog: target, top Record-Route, or Contact without one."""
    assert request.contact is not None
    routes = request.record_route
    last = _uri(routes[0]) if routes else request.contact
    return "sips" in (request.target.scheme, parse_uri(last).scheme)


def dialog_of_response(response: Response, sent: Outgoing, flow: Flow) -> Dialog:
    """Return the dialog that an answer to our INVITE opens (RFC 3261 §12.1.2)."""
    return Dialog(
        call_id=response.call_id,
        local_tag=response.from_tag,
        remote_tag=response.to_tag,
        local=sent.from_,
        remote=response.echo.to,
        local_cseq=sent.cseq,
        remote_cseq=-1,
        routes=tuple(reversed(response.record_route)),
        target=response.contact or sent.uri,
        flow=flow,
        sips=parse_uri(sent.uri).scheme == "sips",
    )
