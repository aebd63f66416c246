"""The OpenAPI document holds: schemathesis tries it against a bridge and finds nothing."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bridge.web.rig import OPERATOR, Rig, running

EXAMPLES = 20
RUN_S = 240


async def schemathesis(rig: Rig, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis in a process of its own; the bridge answers on this loop meanwhile."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{rig.web.url}/api/v1/openapi.json",
        f"--header=Authorization: Bearer {OPERATOR}",
        f"--max-examples={EXAMPLES}",
        "--seed=20260210",
        "--workers=1",
        "--no-color",
        "--generation-database=none",
        "--exclude-path=/api/v1/events",  # a stream has no end; tried in test_events.py
        "--exclude-path=/api/v1/sessions/{session}/audio",  # nor has this; see test_audio.py
        *options,
    ]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=RUN_S, check=False
    )


@pytest.mark.timeout(300)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        done = await schemathesis(rig)
        assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]


async def test_every_error_of_the_document_is_a_problem(tmp_path: Path) -> None:
    async with running(tmp_path) as rig, rig.client("") as client:
        document = (await client.get("/api/v1/openapi.json")).json()
        assert {"/api/v1/sessions", "/api/v1/now", "/metrics"} <= document["paths"].keys()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for status, answer in operation["responses"].items():
                    if status >= "400":
                        kinds = list(answer["content"])
                        assert kinds == ["application/problem+json"], (path, method, status)
