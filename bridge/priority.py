"""Who keeps the time goes before who does not: processes that tick, before others on their core.

Without it a tick waits for the time slice of whatever else runs there, 3 to 4 ms, and its packets
leave so much later than the last ones. And such a process has a socket for each port.
"""

import os
import resource
import threading
from typing import Final

NICE: Final = -10
"""A tenth of the weight of others is left to them; real-time priority would leave none."""


def go_first() -> bool:
    """Let this thread, and those that it starts, go before others; return whether that may be.

    It takes root, CAP_SYS_NICE, or a limit that allows it (RLIMIT_NICE; systemd: `LimitNICE=-10`).
    """
    try:
        os.nice(NICE)
    except PermissionError:
        return False
    return True


def may_go_first() -> bool:
    """Return whether `go_first` would be allowed; nothing is changed."""
    allowed: list[bool] = []
    trial = threading.Thread(target=lambda: allowed.append(go_first()))  # a thread has its own
    trial.start()
    trial.join()
    return allowed == [True]


def raise_files_limit() -> None:
    """Let this process open as many files as it may: every RTP port takes two.

    What most systems start a process with, 1,024, is 500 ports.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
