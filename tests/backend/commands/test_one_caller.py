"""Commands ask the batcher, or ground with its function: both give what the service gives."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from backend.commands import tasks
from backend.prediction.batcher import Batcher
from backend.prediction.questions import Priority, Question
from tests.towers import tiny_backbone
from videogem import grounding
from videogem.backbones.zoo import load_backbone
from videogem.evaluation.demo import demo_dataset
from videogem.evaluation.methods import parse_method
from videogem.evaluation.tower import TowerPredictor
from videogem.grounding import VideoGEM
from videogem.structures import Clip


def test_evaluate_points_where_the_service_points_in_demo_frames() -> None:
    drawn = demo_dataset("unseen-pairs", num_scenes=3).items[:6]
    items = [replace(item, verb=None, object=None) for item in drawn]  # both read the sentence
    backbone = load_backbone("demo", device="cpu")
    spec = parse_method("videogem")
    predictor = TowerPredictor(backbone, [spec])
    [predictions], _ = predictor.answer(items, predictor.ground_batch)
    batcher = Batcher(VideoGEM(backbone, spec.settings))
    clips = [Clip.from_image(item.image) for item in items]
    asked = [
        batcher.ask(Question(clip, [item.narration]), Priority.JOBS)
        for clip, item in zip(clips, items, strict=True)
    ]
    assert len(predictions) == 6
    for future, prediction in zip(asked, predictions, strict=True):
        [found] = future.result(120).groundings
        assert prediction.point == pytest.approx(found.point, abs=1e-6)
        assert prediction.box == pytest.approx(found.box, abs=1e-6)
        assert prediction.score == pytest.approx(found.score, abs=1e-4)


def test_tasks_compares_frames_through_the_batcher(monkeypatch: pytest.MonkeyPatch) -> None:
    grounder = VideoGEM(tiny_backbone())
    compare, threads = grounder.similarity, []

    def similarity(clip: Clip, texts: Sequence[str]) -> np.ndarray:
        threads.append(threading.current_thread().name)
        return compare(clip, texts)

    monkeypatch.setattr(grounder, "similarity", similarity)
    monkeypatch.setattr(grounding, "load_grounder", lambda model, **options: grounder)
    score, num_frames = tasks._scorer("demo", "cpu")
    clip = Clip.from_image(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    found = score(clip, "cut the tomato")
    assert (threads, num_frames) == (["tower"], 1)
    [expected] = compare(clip, ["A photo of a person cut the tomato."])
    assert found == pytest.approx(float(expected))
    assert found != score(clip, "stir the soup")
