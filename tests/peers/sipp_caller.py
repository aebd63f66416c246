"""SIPp as a caller: what its command lines have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bridge.conference.api import LegKind
from bridge.conference.numberplan import NumberPlan

SCENARIO: Final = Path(__file__).parent / "sipp" / "key_the_code.xml"


def sipp(port: int, keys: Path, *, calls: int, stay_ms: int, own_port: int = 6_099) -> list[str]:
    """Return the command that dials the toll-free number, keys a line of `keys`, and stays.

    Fifty calls a second; SIPp exits 0 when every call succeeded.
    """
    did = NumberPlan.build().did("US", LegKind.TOLL_FREE)
    assert did
    options = f"-i 127.0.0.1 -p {own_port} -mp 20000 -r 50 -l 600 -nostdin -timeout 150s"
    call = f"-sf {SCENARIO} -inf {keys} -key did {did.e164} -m {calls} -d {stay_ms}"
    return ["sipp", f"127.0.0.1:{port}", *call.split(), *options.split()]


def write_keys(path: Path, keys: Sequence[str]) -> Path:
    """Write what the callers key, one after the other and from the top again."""
    path.write_text("SEQUENTIAL\n" + "".join(f"{line};\n" for line in keys))
    return path
