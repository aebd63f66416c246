"""The compiled loops, for every test of them."""

import pytest

from bridge.media import samples_c
from tests.bridge.media.compiling import compiled


@pytest.fixture(scope="session", params=["-O3", "-O1 -fsanitize=undefined -fno-sanitize-recover"])
def c(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> samples_c.Loops:
    """The compiled loops: as they are installed, and with every undefined step a crash."""
    return samples_c.Loops(compiled(tmp_path_factory.mktemp("c"), *request.param.split()))
