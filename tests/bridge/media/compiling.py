"""The media plane's library, made from its sources as they are now."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

MEDIA: Final = Path(__file__).parent.parent.parent.parent / "bridge/media"


def compiled(directory: Path, *flags: str) -> str:
    """Compile the sources as they are now; return where the library is."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = directory / "samples.so"
    sources = [str(source) for source in sorted(MEDIA.glob("_*.c"))]
    command = [*compiler.split(), "-shared", "-fPIC", *flags, *sources]
    subprocess.run([*command, "-o", str(library)], check=True)
    return str(library)
