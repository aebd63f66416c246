"""A sound server without hardware: PulseAudio with a loudspeaker and a microphone that are files.

Two null sinks: what programs play goes to `speaker`, whose monitor can be recorded; what is played
into `mic` is what programs hear from their microphone.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""
START_S = 60.0


@dataclass(frozen=True)
class Pulse:
    """The environment in which programs find this server."""

    env: Mapping[str, str]

    def play_into_microphone(self, wav: Path) -> "subprocess.Popen[bytes]":
        """Begin to play a file into the microphone."""
        return subprocess.Popen(["paplay", "--device=mic", str(wav)], env=dict(self.env))

    def record_loudspeaker(self, wav: Path) -> "subprocess.Popen[bytes]":
        """Begin to record what is played on the loudspeaker."""
        command = ["parec", "--device=speaker.monitor", "--rate=16000", "--channels=1"]
        command += ["--format=s16le", "--file-format=wav", str(wav)]
        return subprocess.Popen(command, env=dict(self.env))


@contextlib.contextmanager
def pulse(folder: Path) -> Iterator[Pulse]:
    """Run PulseAudio until the end of the context."""
    socket = folder / "native"
    (folder / "asound.conf").write_text(ALSA)
    env = {
        **os.environ,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "PULSE_SERVER": f"unix:{socket}",
        "PULSE_SINK": "speaker",
        "PULSE_SOURCE": "mic.monitor",
        "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
    }
    modules = [
        f"module-native-protocol-unix auth-anonymous=1 socket={socket}",
        "module-null-sink sink_name=speaker rate=16000",
        "module-null-sink sink_name=mic rate=16000",
    ]
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit"]
    for module in modules:
        command += ["-L", module]
    with (folder / "pulse.log").open("w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_S
            while subprocess.run(["pactl", "info"], env=env, capture_output=True).returncode:
                assert time.monotonic() < deadline, (folder / "pulse.log").read_text()
                time.sleep(0.1)
            yield Pulse(env)
        finally:
            server.terminate()
            server.wait(10)
