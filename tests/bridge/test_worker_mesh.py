"""Bundles between workers: what one gives is what the other gets, however much it is."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from bridge.media.linked import WIDE, Sums
from bridge.media.plays import Clips
from bridge.media.shape import FRAME
from bridge.media.tick import Plane, TickResult
from bridge.worker_mesh import GROUPS_MAX, Mesh


@pytest.mark.parametrize("width", [FRAME, FRAME + FRAME + WIDE])
@pytest.mark.parametrize("groups", [0, 1, GROUPS_MAX, 2 * GROUPS_MAX + 1])
def test_a_bundle_arrives_whole(groups: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(groups)
    frames = rng.integers(-(1 << 20), 1 << 20, (groups, width)).astype(np.int32)
    sums = Sums(np.arange(groups) + 7, rng.integers(1, 9, groups), frames)
    plane = Plane(Clips({}), silence_ns=10**9, legs_max=4)
    came: list[tuple[int, Sums]] = []
    monkeypatch.setattr(plane.links, "put", lambda peer, sums, counters: came.append((peer, sums)))
    with tempfile.TemporaryDirectory() as directory:
        meshes = [Mesh(directory, index) for index in range(2)]
        try:
            meshes[0].send(plane, TickResult(given=[(1, sums)]))
            meshes[1].receive(plane)
        finally:
            for mesh in meshes:
                mesh.close()
        assert not list(Path(directory).iterdir())
    assert "link_send_failed" not in plane.counters.totals
    [(peer, got)] = came
    assert peer == 0
    np.testing.assert_array_equal(got.group, sums.group)
    np.testing.assert_array_equal(got.voices, sums.voices)
    np.testing.assert_array_equal(got.frames, sums.frames)
