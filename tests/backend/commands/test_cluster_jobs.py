"""What goes to a cluster gives what this process gives; the cluster is played by the test."""

import contextlib
import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr
from typer.testing import CliRunner

from backend.bulk.jobs import BulkJob
from backend.bulk.ray_start import Cluster
from backend.cli import app
from backend.commands.support import cluster_jobs
from backend.commands.support.cluster_jobs import OnCluster
from backend.label_studio.client import LabelStudio
from backend.prediction.annotate import annotate
from backend.settings import Settings
from tests.backend.prediction.test_batch import CONFIG, make_tasks
from tests.fake_label_studio import fake_label_studio
from tests.towers import tiny_backbone
from videogem.backbones import zoo


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """Workers of one process each, in a folder of theirs; all is pickled, one item is lost."""
    theirs = tmp_path_factory.mktemp("worker")
    monkeypatch.setattr(zoo, "load_backbone", lambda name, **options: tiny_backbone())
    monkeypatch.setattr("videogem.grounding.loading.load_backbone", zoo.load_backbone)
    counts: list[int] = []

    def spread(
        items: Sequence[Any], job: BulkJob, cluster: Cluster, *, num_results: int
    ) -> Iterator[Any]:
        counts.append(num_results)
        work = pickle.loads(pickle.dumps(job)).load()
        *some, last = items
        for item in reversed(some):
            with contextlib.chdir(theirs):
                [results] = pickle.loads(pickle.dumps(work([job.read(item)])))
            yield from results
        for part in job.split(last):
            yield from job.lost(part, "The worker died.")

    monkeypatch.setattr(cluster_jobs, "spread", spread)
    return counts


def test_tasks(calls: list[int], tmp_path: Path) -> None:
    with fake_label_studio(CONFIG, make_tasks(20)) as server:
        predictor = OnCluster(Settings(data_dir=tmp_path), Cluster())
        client = LabelStudio(server.url, SecretStr("t" * 40))
        for done, skipped in ((16, 0), (0, 16)):
            tally = annotate(client, 1, predictor=predictor, record=lambda key, pairs: None)
            assert (tally.done, tally.skipped) == (done, skipped)
            assert [reason for _, reason in tally.failures] == ["The worker died."] * 4
        assert sorted(server.count().values()) == [0] * 4 + [1] * 16
    assert calls == [20, 4]


def test_a_dataset(calls: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        frame = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
        rows.append({"image": f"{number}.png", "narration": "cut tomato", "boxes": [[0, 0, 9, 9]]})
    (tmp_path / "annotations.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = ["evaluate", "--dataset", "jsonl", "--root", tmp_path.name, "--batch-size", "2"]
    given += ["--method", "gem", "--method", "clip", "--no-compare"]
    found = []
    for name, options in (("here", []), ("there", ["--engine", "ray"])):
        out = tmp_path / name
        result = CliRunner().invoke(app, [*given, *options, "--out", str(out)])
        assert result.exception is None, result.output
        found.append({
            path.name: sorted(path.read_text().splitlines())
            for path in (out / "predictions").iterdir()
        })  # fmt: skip
    here, there = found
    assert "2 items could not be read" in result.output
    assert "The worker died" in result.output
    assert here.keys() == there.keys()
    for name, lines in there.items():
        assert len(lines) == 4
        assert set(lines) < set(here[name])
    assert calls == [6]


def test_engines_that_do_not_fit() -> None:
    for given in (["--processes", "2"], ["--figure", "3", "--out", "x"]):
        result = CliRunner().invoke(app, ["evaluate", "--engine", "ray", *given])
        assert "--engine ray goes with neither" in str(result.exception)
