"""Sound through PortAudio: the devices there are, a microphone and a loudspeaker as streams.

Knows samples, no calls. `sounddevice` is imported where it is used: without it, or without
PortAudio, everything here raises one InputError that says what is missing.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from bridge.errors import InputError
from bridge.phone.values import FRAME_MS, Samples

RATES_TRIED_HZ: Final = (16_000, 48_000, 44_100, 32_000, 8_000)
WAIT_FRAMES: Final = 3
"""60 ms are gathered before the loudspeaker begins, so that a late block makes no click."""

WAITING_FRAMES_MAX: Final = 12
PORTAUDIO: Final = "PortAudio (Debian: libportaudio2) and `pip install 'tollbridge[phone]'`"
WITHOUT: Final = "; --wav and --record work without"


@dataclass(frozen=True, slots=True)
class Device:
    """One device as PortAudio shows it; `default` is where sound goes when none is named."""

    number: int
    name: str
    inputs: int
    outputs: int
    default: bool


def _sounddevice() -> Any:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio's library is not there
        raise InputError("sound", str(error), PORTAUDIO + WITHOUT) from None
    return sounddevice


def devices() -> list[Device]:
    """Return all devices.

    Raises:
        InputError: sounddevice or PortAudio is missing.
    """
    sd = _sounddevice()
    chosen = set(sd.default.device)
    return [
        Device(
            number=place,
            name=str(found["name"]),
            inputs=int(found["max_input_channels"]),
            outputs=int(found["max_output_channels"]),
            default=place in chosen,
        )
        for place, found in enumerate(sd.query_devices())
    ]


def rate_of(
    device: str | int | None,
    *,
    rates_hz: Sequence[int] = RATES_TRIED_HZ,
    microphone: bool = True,
) -> int:
    """Return the first of some rates that a loudspeaker has, and its microphone too.

    Raises:
        InputError: there is no such device, or it has none of the rates.
    """
    sd = _sounddevice()
    if not sd.query_devices():
        text = "a sound device: `tollbridge phone devices` lists them" + WITHOUT
        raise InputError("sound", "no devices", text)
    why = ""
    for rate_hz in rates_hz:
        try:
            if microphone:
                sd.check_input_settings(
                    device=device, samplerate=rate_hz, channels=1, dtype="int16"
                )
            sd.check_output_settings(device=device, samplerate=rate_hz, channels=1, dtype="int16")
        except (sd.PortAudioError, ValueError) as error:
            why = str(error)
            continue
        return rate_hz
    raise InputError("--device", device, f"a device of `tollbridge phone devices`: {why}")


class SoundCard:
    """A microphone whose frames go to `on_frame`, and a loudspeaker that plays what is written.

    `on_frame` is called in PortAudio's thread; without it there is no microphone.

    Attributes:
        dropped, missing: frames that came too fast for the loudspeaker, or not in time.
    """

    def __init__(
        self, rate_hz: int, device: str | int | None, on_frame: Callable[[Samples], None] | None
    ) -> None:
        self._sd = _sounddevice()
        self._frame_bytes = 2 * rate_hz * FRAME_MS // 1_000
        self._waiting = bytearray()
        self._lock = threading.Lock()
        self._playing = False
        self._on_frame = on_frame
        self.dropped = self.missing = 0
        settings = {
            "samplerate": rate_hz,
            "blocksize": self._frame_bytes // 2,
            "device": device,
            "channels": 1,
            "dtype": "int16",
        }
        self._streams = [self._sd.RawOutputStream(**settings, callback=self._wanted)]
        if on_frame is not None:
            self._streams.append(self._sd.RawInputStream(**settings, callback=self._heard))

    def __enter__(self) -> Self:
        """Start both.

        Raises:
            InputError: the device does not start.
        """
        try:
            for stream in self._streams:
                stream.start()
        except self._sd.PortAudioError as error:
            self.__exit__(None, None, None)
            raise InputError("--device", str(error), "a device that can be opened") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop both."""
        for stream in self._streams:
            stream.close()

    def write(self, samples: Samples) -> None:
        """Play samples after those that wait; the oldest are dropped when there are too many."""
        with self._lock:
            self._waiting += samples.astype("<i2").tobytes()
            over = len(self._waiting) - WAITING_FRAMES_MAX * self._frame_bytes
            if over > 0:
                spare = len(self._waiting) - WAIT_FRAMES * self._frame_bytes
                del self._waiting[:spare]
                self.dropped += spare // self._frame_bytes

    def _heard(self, data: Any, frames: int, when: Any, status: Any) -> None:
        if self._on_frame is not None:
            self._on_frame(np.frombuffer(bytes(data), "<i2").astype(np.int16))

    def _wanted(self, out: Any, frames: int, when: Any, status: Any) -> None:
        need = 2 * frames
        with self._lock:
            enough = need if self._playing else WAIT_FRAMES * self._frame_bytes
            if len(self._waiting) < enough:
                self.missing += self._playing
                self._playing = False
                out[:need] = bytes(need)
                return
            self._playing = True
            out[:need] = bytes(self._waiting[:need])
            del self._waiting[:need]
