"""Kamailio as the proxy in front of the bridge: it stays in the path by Record-Route."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.peers.sip_wire import HOST, Talk, Wire

START_S = 60.0

CONFIG = """#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=2
disable_tcp=no
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ t_relay(); exit; }}
    if (is_method("ACK") && t_check_trans()) {{ t_relay(); }}
    if (!is_method("ACK")) {{ sl_send_reply("404", "Not Here"); }}
    exit;
  }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
  if (is_method("OPTIONS") && $rU == "here") {{ sl_send_reply("200", "Here"); exit; }}
  t_check_trans();
  record_route();
  $du = "sip:{host}:{bridge}{transport}";
  t_relay();
}}
"""


@contextlib.contextmanager
def kamailio(folder: Path, *, port: int, bridge: int, transport: str = "") -> Iterator[None]:
    """Run Kamailio on `port`, by UDP and TCP; it forwards what opens a dialog to the bridge."""
    path, log = folder / "kamailio.cfg", folder / "kamailio.log"
    text = CONFIG.format(host=HOST, port=port, bridge=bridge, transport=transport)
    path.write_text(text)
    command = ["kamailio", "-DD", "-E", "-f", str(path), "-m", "16", "-M", "4", "-Y", str(folder)]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
        try:
            _wait(port, process, log)
            yield
        finally:
            process.terminate()
            process.wait(10)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    with Wire((HOST, port)) as wire:
        while time.monotonic() < deadline and process.poll() is None:
            wire.send(Talk(wire, "here").text("OPTIONS"))
            answer = wire.hear(0.3)
            if answer and answer.status == 200:
                return
    raise AssertionError(log.read_text()[-3_000:])
