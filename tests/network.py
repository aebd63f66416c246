"""A network of a process's own: no port that another process's tests have is taken in it.

Ports stand in the tests' bridges, in their callers and in other people's programs, some of them
fixed. Linux gives each process that asks, with the right to, a loopback of its own
(network_namespaces(7)), and what that process starts has the same.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from typing import Final

CLONE_NEWNET: Final = 0x4000_0000
SIOCGIFFLAGS: Final = 0x8913
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 0x1
IFREQ: Final = struct.Struct("16sh14x")


def own_network() -> bool:
    """Leave this thread's network for a new one with nothing but loopback; False if it may not.

    Raises:
        OSError: Linux refuses for another reason than missing rights.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        number = ctypes.get_errno()
        if number == errno.EPERM:
            return False
        raise OSError(number, os.strerror(number))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        _, flags = IFREQ.unpack(fcntl.ioctl(any_socket, SIOCGIFFLAGS, IFREQ.pack(b"lo", 0)))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, IFREQ.pack(b"lo", flags | IFF_UP))
    return True
