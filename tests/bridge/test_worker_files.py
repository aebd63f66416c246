"""A worker that may open no more files goes on with the legs that it has."""

import os
import resource

from bridge.link import CloseLeg, FromWorker, LegOpened, LegRefused, OpenLeg, WorkerSettings
from bridge.worker_link import MediaWorker

SETTINGS = WorkerSettings(port_first=46_900, port_last=46_999)


async def test_worker_without_files_refuses_legs_and_lives() -> None:
    said: list[FromWorker] = []
    lost: list[str] = []
    worker = await MediaWorker.start(SETTINGS, said.append, lost.append)
    try:
        assert isinstance(await worker.open_leg(OpenLeg(1)), LegOpened)
        soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
        assert soft == hard, "it has let itself open what it may"
        open_now = len(os.listdir(f"/proc/{worker.pid}/fd"))
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (open_now, hard))
        assert await worker.open_leg(OpenLeg(2)) == LegRefused(2, "no_port")
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (hard, hard))
        assert isinstance(await worker.open_leg(OpenLeg(3)), LegOpened)
        worker.send(CloseLeg(3))
        assert not lost
    finally:
        await worker.stop()
