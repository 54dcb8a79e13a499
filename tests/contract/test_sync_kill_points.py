"""Killed between two steps of sending: the next start asks for a new place, and each thing is there exactly once."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.contract.sync_torture import Device, Report, Victims, compare, enrolled, whole_life
from tests.contract.sync_victim import POINTS
from tests.stand_ins.aws.s3 import Kept
from tests.stand_ins.cloud_process import CloudProcess
from tests.stand_ins.faulty_proxy import FaultyProxy, Trouble
from tests.stand_ins.local_cloud import DOCUMENTS
from tests.stand_ins.postgres import Postgres, Urls

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("local-cloud"),
    pytest.mark.skipif(os.name != "posix", reason="kill -9 and fork are POSIX"),
]
OTHERS = ("/v1/token", "/v1/config", "/v1/heartbeat")


class Stage:
    """The local cloud, and devices whose requests are written down."""

    def __init__(self, folder: Path, urls: Urls, cloud: CloudProcess, proxy: FaultyProxy) -> None:
        self.folder, self.urls, self.cloud = folder, urls, cloud
        self.asked: list[str] = []
        self.devices: list[Device] = []
        self.trouble: dict[str, list[Trouble]] = {}
        """What happens to the next requests, by what is asked."""
        proxy.script = self._script

    def _script(self, method: bytes, target: bytes) -> Trouble | None:
        path = target.decode().partition("?")[0]
        asked = next((name for name in ("complete", "uploads", "observations") if path.endswith(name)), path)
        if path in OTHERS or path == "/v1/devices/enrol" or method == b"GET":
            return None
        name = "put" if method == b"PUT" else asked
        self.asked.append(name)
        left = self.trouble.get(name)
        return left.pop(0) if left else None

    def objects(self) -> int:
        """Versions of files in S3, beside the texts that were found in them."""
        found = Kept(self.folder / "cloud" / "s3").buckets().get(DOCUMENTS)
        return 0 if found is None else sum(len(all_) for key, all_ in found.versions.items() if key[0] == "c")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("points")
    (folder / "cloud").mkdir()
    with (
        Postgres() as postgres,
        CloudProcess(folder / "cloud", postgres.migrated()) as cloud,
        FaultyProxy({"api": cloud.port, "s3": cloud.aws_port}, random.Random(1)) as proxy,
    ):
        cloud.public_url, cloud.aws_public_url = proxy.url("api"), proxy.url("s3")
        made = Stage(folder, cloud.urls, cloud, proxy)
        made.devices = enrolled(cloud, folder, len(POINTS) + 2, 1)
        yield made
        for device in made.devices:
            device.close()


@pytest.fixture(autouse=True)
def nothing_of_the_last_test(stage: Stage) -> None:
    """They share the stage, in any order."""
    stage.asked, stage.trouble = [], {}


def killed_once(
    device: Device, victims: Victims, point: str | None, last: str, within_s: float = 60.0
) -> None:
    """It keeps a scan and a document, sends, and is gone at a point, or once it has said `last`."""
    pid = victims.begin(device.life("once", point))
    until_s = time.monotonic() + within_s
    while (line := victims.line(until_s)) is not None:
        device.read(line)
        assert not line.startswith("failed"), line
        if line == last:
            break
    assert line == last
    for rest in victims.kill(pid):
        device.read(rest)


def whole(stage: Stage, device: Device, victims: Victims) -> Report:
    """What is found after it has lived on."""
    whole_life(device, victims, "drained", 60.0)
    report = Report()
    with psycopg.connect(stage.urls.superuser) as connection:
        compare(report, [device], connection, stage.folder / "cloud")
    strangers = {one.enrolled["device_id"] for one in stage.devices} - {device.enrolled["device_id"]}
    report.corrupt = [one for one in report.corrupt if not any(name in one for name in strangers)]
    return report


@pytest.mark.parametrize("point", POINTS)
def test_a_client_that_is_killed_between_two_steps(stage: Stage, point: str, tmp_path: Path) -> None:
    device, before = stage.devices[POINTS.index(point)], stage.objects()
    with Victims(tmp_path) as victims:
        whole_life(device, victims, "born", 60.0)
        stage.asked.clear()
        killed_once(device, victims, point, f"dies {point}")
        first, stage.asked = stage.asked, []
        report = whole(stage, device, victims)
        second, stage.asked = stage.asked, []
    assert report.right and not report.notes, list(report.lines())
    assert report.observations == 6 and report.documents == 1  # five of before, one of now
    assert stage.objects() == before + 1
    expected = {
        "send_observations": (["observations"], ["observations", "uploads", "put", "complete"]),
        "announce": (["observations", "uploads"], ["uploads", "put", "complete"]),
        "within put": (["observations", "uploads", "put"], ["uploads", "put", "complete"]),
        "put": (["observations", "uploads", "put"], ["uploads", "complete"]),  # told that it is there already
        "complete": (["observations", "uploads", "put", "complete"], ["uploads", "complete"]),
    }
    assert (first, second) == expected[point]


def test_a_cloud_that_is_killed_after_it_has_taken_a_file(stage: Stage, tmp_path: Path) -> None:
    device, before = stage.devices[-1], stage.objects()
    with Victims(tmp_path) as victims:
        whole_life(device, victims, "born", 60.0)
        killed_once(device, victims, "put", "dies put")
        stage.cloud.kill()
        stage.cloud.start()
        stage.asked.clear()
        report = whole(stage, device, victims)
    assert report.right and stage.objects() == before + 1
    assert stage.asked == ["uploads", "complete"]  # S3 still has it


def test_a_file_that_is_sent_twice_and_whose_answers_are_lost(stage: Stage, tmp_path: Path) -> None:
    device, before = stage.devices[-2], stage.objects()
    stage.trouble = {
        "observations": [Trouble.LOST, Trouble.TWICE],
        "put": [Trouble.CUT, Trouble.TWICE, Trouble.LOST],
        "complete": [Trouble.LOST, Trouble.HALVED, Trouble.TWICE],
    }
    with Victims(tmp_path) as victims:
        whole_life(device, victims, "born", 60.0)
        killed_once(device, victims, None, "opened")
        report = whole(stage, device, victims)
    assert report.right and stage.objects() == before + 1
    assert stage.trouble["observations"] == [] and stage.trouble["complete"] == []
