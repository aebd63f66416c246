"""Which address of this machine others are told; looks it up, sends nothing."""

import socket
from typing import Final

FAR_AWAY: Final = ("192.0.2.1", 9)
FAR_AWAY_6: Final = ("2001:db8::1", 9)
ANY_HOST: Final = frozenset({"", "0.0.0.0", "::"})
"""Addresses that mean every interface; nobody can send to them."""


def routed_host(any_host: str) -> str:
    """Return the address of this machine that packets to far away come from; sends nothing."""
    six = ":" in any_host
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(FAR_AWAY_6 if six else FAR_AWAY)
        except OSError:
            return "::1" if six else "127.0.0.1"
        return str(probe.getsockname()[0])


def told_host(bound: str, advertise: str = "") -> str:
    """Return the host that others are told for a socket bound to `bound`.

    That is what the operator advertises (NAT, containers), else the bound address, else, when
    every interface is listened on, the one that packets to far away leave by.
    """
    return advertise or (routed_host(bound) if bound in ANY_HOST else bound)
