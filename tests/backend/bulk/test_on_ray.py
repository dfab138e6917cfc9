"""A local Ray cluster of several nodes: workers that die, work that raises, machines that go."""

import importlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from backend import cli
from backend.bulk.on_ray import spread
from backend.bulk.ray_start import START, Cluster
from tests.ray_jobs import Doubling
from videogem.errors import InputError

# Ray's own threads and sockets end when they like.
pytestmark = [
    pytest.mark.soak,  # some seconds of two cores for each process: on a busy machine Ray gives up
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    os.environ.update(START | os.environ)
    utils = importlib.import_module("ray.cluster_utils")
    little = {"num_cpus": 2, "object_store_memory": 150 * 2**20}
    head = {**little, "include_dashboard": False}
    for attempt in range(3):
        try:
            cluster = utils.Cluster(initialize_head=True, head_node_args=head)
            break
        except Exception:  # Ray gives its own processes 15 s to start
            if attempt == 2:
                raise
    cluster.add_node(**little)
    yield cluster
    cluster.shutdown()


logger = logging.getLogger(__name__)
Predict = Callable[..., tuple[Any, str, str]]
VERBS = ("cut", "wash", "open", "take", "pour", "mix", "put down")
THINGS = ("tomato", "red cup", "door", "knife", "big wooden spoon", "honey pot", "bottle", "plate",
          "onion", "box", "water")  # fmt: skip


def numbers(count: int, **fates: str) -> list[Any]:
    """Items of four numbers each."""
    return [
        tuple((number, fates.get(f"n{number}", "")) for number in range(start, start + 4))
        for start in range(0, count, 4)
    ]


def test_whatever_happens_to_some_the_others_arrive_once(nodes: Any, tmp_path: Path) -> None:
    """Workers that die, in reading and in working, and work that raises."""
    job = Doubling(tmp_path)
    items = numbers(
        60, n5="kills", n22="kills once", n41="breaks", n57="kills its reader",
        n50="breaks its reader",
    )  # fmt: skip
    found: dict[int, Any] = {}
    for number, value in spread(items, job, Cluster(nodes.address), num_results=60 * 16):
        assert number not in found, "it came twice"
        found[number] = value
    bad = {
        number: value for number, value in found.items() if value != 2 * number
    }  # fmt: skip
    assert sorted(found) == list(range(60))
    # What breaks takes the other numbers of its item along: a job tells of what one of them does.
    assert bad.keys() - {40, 42, 43, 48, 49, 51} == {5, 41, 50, 57}
    assert "The worker that had it died, 3 times" in bad[5]
    assert "The worker that had it died, 3 times" in bad[57]
    assert "Defect in the backend (ZeroDivisionError: while working)" in bad[41]
    assert "Defect in the backend (ZeroDivisionError: while reading)" in bad[50]
    assert job.tries(5) <= 3  # one in a round
    assert job.tries(57, "read") <= 3
    assert job.tries(41) <= 4  # with its batch, and alone; twice if its block was lost
    assert job.tries(50, "read") <= 2


def test_workers_that_all_die_are_not_tried_without_end(nodes: Any, tmp_path: Path) -> None:
    """One poisoned number in each item: every worker dies in every round."""
    job = Doubling(tmp_path)
    poisoned = range(0, 24, 4)
    items = numbers(24, **{f"n{number}": "kills" for number in poisoned})
    found = list(spread(items, job, Cluster(nodes.address, patience=120.0)))
    assert len(found) == 24
    bad = {number: value for number, value in found if value != 2 * number}
    assert sorted(bad) == list(poisoned)
    assert all(reason.startswith("The worker that had it died, 3 times") for reason in bad.values())
    assert all(job.tries(number) <= 3 for number in poisoned)


def test_a_worker_says_why_nothing_can_be_done(nodes: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There are no weights"):
        next(spread(numbers(4), Doubling(tmp_path, ready=False), Cluster(nodes.address)))


def test_a_machine_that_dies_loses_nothing(nodes: Any, tmp_path: Path) -> None:
    nodes.add_node(num_cpus=1, object_store_memory=150 * 2**20)
    found: dict[int, Any] = {}
    for number, value in spread(numbers(400), Doubling(tmp_path), Cluster(nodes.address)):
        if not found:
            remove_one(nodes)
        assert number not in found, "it came twice"
        found[number] = value
    assert found == {number: 2 * number for number in range(400)}


def remove_one(nodes: Any) -> None:
    """Kill a machine that is neither the head nor the one this process is connected to."""
    for node in list(nodes.worker_nodes):
        try:
            nodes.remove_node(node, allow_graceful=False)
        except ValueError:  # it is ours
            continue
        return
    raise AssertionError("there is no machine to spare")


def test_work_that_hangs_ends_the_run_and_what_came_counts(nodes: Any, tmp_path: Path) -> None:
    job = Doubling(tmp_path)
    found: list[Any] = []
    cluster = Cluster(nodes.address, patience=40.0)
    with pytest.raises(InputError, match="gave no result for 40 s"):
        for one in spread([((number, "sleeps" if number == 3 else ""),) for number in range(6)],
                          job, cluster, num_results=384):  # fmt: skip
            found.append(one)
    assert sorted(found) == [(n, 2 * n) for n in range(6) if n != 3]
    assert job.tries(3) <= 3
    # Whoever hung has no place any more, and no thread of the run is left.
    assert dict(spread(numbers(12), Doubling(tmp_path), Cluster(nodes.address))) == {
        n: 2 * n for n in range(12)
    }
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name == "ray" or name.startswith("StreamingExecutor")]


def test_more_than_the_cluster_has_is_told(nodes: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the cores or GPUs that a model needs"):
        next(spread(numbers(8), Doubling(tmp_path), Cluster(nodes.address, 64, patience=9.0)))


@pytest.fixture
def predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Predict:
    """Calls the command in a folder that workers are not in, and gives its exit code and words."""
    monkeypatch.chdir(tmp_path)

    def call(*options: str) -> tuple[Any, str, str]:
        monkeypatch.setattr("sys.argv", ["videogem", "predict", *options, "--dtype", "float32"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return call


def test_the_command_writes_the_same_file_as_a_run_here(nodes: Any, predict: Predict) -> None:
    """The demo model, pictures and one that is broken, which every run asks for again."""
    rng = np.random.default_rng(0)
    Path("frames").mkdir()
    for number in range(10):
        frame = rng.integers(0, 256, (48 + number, 64, 3), dtype=np.uint8)
        Image.fromarray(frame).save(f"frames/{number}.png")
    Path("frames/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    given = ("frames", "--narration", "cut the tomato")
    on_ray = (*given, "--out", "ray.jsonl", "--engine", "ray", "--address")
    assert predict(*given, "--out", "local.jsonl")[0] == 1
    code, out, _ = predict(*on_ray, nodes.address)
    assert code == 1
    assert "10 rows in ray.jsonl: 10 new, 0 of earlier runs; 1 failed" in out
    written, failed = Path("ray.jsonl").read_bytes(), Path("ray.jsonl.failed.jsonl").read_bytes()
    assert written == Path("local.jsonl").read_bytes()
    assert json.loads(failed)["source"] == "frames/broken.png"

    code, _, err = predict(*on_ray, "127.0.0.1:1")
    assert code == 2
    assert err.count("The Ray cluster at '127.0.0.1:1' cannot be used") == 1
    assert "Traceback" not in err
    assert Path("ray.jsonl").read_bytes() == written
    assert Path("ray.jsonl.failed.jsonl").read_bytes() == failed

    Path("frames/broken.png").unlink()  # nothing is left to do: Ray is not asked for
    assert predict(*on_ray, "127.0.0.1:1")[0] == 0
    assert Path("ray.jsonl").read_bytes() == written
    assert not Path("ray.jsonl.failed.jsonl").exists()


@pytest.mark.parametrize("num_clips", [2000])
def test_many_clips_and_a_machine_that_dies_give_the_same_file(
    nodes: Any, predict: Predict, num_clips: int
) -> None:
    """The demo model, at half its input size: it is the number of clips that counts."""
    nodes.add_node(num_cpus=2, object_store_memory=150 * 2**20)
    write_clips(Path("clips"), num_clips)
    given = ("clips", "--image-size", "112")
    begun = time.monotonic()
    assert predict(*given, "--out", "local.jsonl")[0] == 0
    here = time.monotonic() - begun
    alive, rows_then = len(nodes.list_all_nodes()), 0

    def kill() -> None:
        nonlocal rows_then
        out = Path("ray.jsonl")
        while not out.exists() or (rows_then := out.read_bytes().count(b"\n")) < num_clips // 6:
            time.sleep(0.2)
        remove_one(nodes)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert (
        predict(*given, "--out", "ray.jsonl", "--engine", "ray", "--address", nodes.address)[0] == 0
    )
    assert not killer.is_alive()
    assert len(nodes.list_all_nodes()) == alive - 1
    logger.info("%d clips: %.0f s here, %.0f s on Ray, a machine killed after %d rows",
                num_clips, here, time.monotonic() - begun - here, rows_then)  # fmt: skip
    assert rows_then < num_clips
    written = Path("ray.jsonl").read_bytes()
    assert written.count(b"\n") == num_clips
    assert written == Path("local.jsonl").read_bytes()


def write_clips(folder: Path, count: int) -> None:
    """Short videos, each with a sentence of its own in subtitles beside it."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        colours = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        with av.open(str(folder / f"{number:04}.mp4"), "w") as video:
            stream = video.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for shift in range(4):
                picture = np.roll(colours, shift, axis=1).repeat(16, axis=0).repeat(16, axis=1)
                video.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            video.mux(stream.encode())
        verb, thing = VERBS[number % len(VERBS)], THINGS[number % len(THINGS)]
        said = f"1\n00:00:00,000 --> 00:00:00,400\n{verb} the {thing} number {number}\n"
        (folder / f"{number:04}.srt").write_text(said)
