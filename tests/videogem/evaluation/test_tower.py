import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.towers import tiny_backbone, tiny_viclip_backbone
from videogem.datasets.base import Dataset, Item
from videogem.evaluation import Prediction
from videogem.evaluation.cache import TokenFiles
from videogem.evaluation.figures import similarity_losses
from videogem.evaluation.methods import parse_method
from videogem.evaluation.paper import figure_3_methods
from videogem.evaluation.run import RunOptions, run
from videogem.evaluation.tower import TowerPredictor, words_of
from videogem.grounding import VideoGEM
from videogem.media.video import read_clip
from videogem.structures import Clip

METHODS = ("clip", "maskclip", "clip_surgery", "gem6", "gem", "videogem", "videogem:static,verb")


def items(count: int = 4) -> list[Item]:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (40, 60, 3), dtype=np.uint8) for _ in range(count)]
    return [
        Item(
            id=str(index),
            video="v",
            narration=f"cut_{word}",
            label="cut",
            boxes=((0.1, 0.1, 0.6, 0.6),),
            size_wh=(60, 40),
            style="label",
            image=pictures[index // 2],
        )
        for index, word in enumerate(["tomato", "onion", "bread", "cheese"][:count])
    ]


def clip_of(item: Item) -> Clip:
    return Clip.from_image(item.image)


def predict(predictor: TowerPredictor, items: list[Item]) -> dict[str, dict[str, Prediction]]:
    """Each method's predictions by their items' ids; all items can be read."""
    answers, skipped = predictor.answer(items, predictor.ground_batch)
    assert not skipped
    methods = zip(predictor.methods, answers, strict=True)
    return {method: {one.id: one for one in found} for method, found in methods}


def counting(backbone):
    """The backbone itself, which from now on counts the frames that go through its image tower.

    Not a wrapper with ``__getattr__``: since Python 3.12 ``isinstance`` looks for a protocol's
    members without calling it, so the shape checker would not take a wrapper for a backbone.
    """
    encode = backbone.encode_frames

    def encode_and_count(pixels, settings, **options):
        backbone.num_frames_encoded += len(pixels)
        return encode(pixels, settings, **options)

    backbone.num_frames_encoded = 0
    backbone.encode_frames = encode_and_count
    return backbone


def test_all_methods_come_from_one_pass_and_equal_the_grounder():
    backbone = counting(tiny_backbone())
    specs = [parse_method(name) for name in METHODS]
    found = predict(TowerPredictor(backbone, specs), items())
    assert backbone.num_frames_encoded == 2  # four items, two pictures, seven methods
    assert list(found) == list(METHODS)
    for spec in specs:
        grounder = VideoGEM(backbone, spec.settings)
        for item in items():
            clip = clip_of(item)
            words = item.narration.replace("_", " ")
            (expected,) = grounder.ground(clip, [words])
            assert found[spec.name][item.id].point == pytest.approx(expected.point, abs=1e-6)
            assert found[spec.name][item.id].box == pytest.approx(expected.box, abs=1e-6)


def test_different_attention_needs_a_pass_of_its_own():
    backbone = counting(tiny_backbone())
    specs = [parse_method("videogem"), parse_method("videogem:inverse_temperature=15")]
    predict(TowerPredictor(backbone, specs), items(2))
    assert backbone.num_frames_encoded == 2


def test_a_video_model_sees_neighbours_or_one_frame_repeated(tmp_path):
    rng = np.random.default_rng(1)
    paths = []
    for index in range(8):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(paths[-1])
    item = Item(
        **{
            **items(1)[0].__dict__,
            "image": paths[4],
            "window": tuple(paths[2:6]),
            "windowed": True,
            "target": 2,
        }
    )
    backbone = counting(tiny_viclip_backbone())
    specs = [parse_method("videogem"), parse_method("videogem:repeat")]
    found = predict(TowerPredictor(backbone, specs), [item])
    assert backbone.num_frames_encoded == 2
    assert found["videogem"] != found["videogem:repeat"]
    (expected,) = VideoGEM(backbone, specs[0].settings).ground(
        read_clip(paths[2:6], time=2.0, num_frames=4, step=1.0), ["cut tomato"]
    )
    assert found["videogem"]["0"].point == pytest.approx(expected.point, abs=1e-6)


def test_tokens_in_files_give_the_same_numbers_without_a_pass(tmp_path):
    backbone = counting(tiny_backbone())
    specs = [parse_method(name) for name in METHODS]
    first = predict(TowerPredictor(backbone, specs, tokens_folder=tmp_path), items())
    encoded = backbone.num_frames_encoded
    again = predict(TowerPredictor(backbone, specs, tokens_folder=tmp_path), items())
    assert backbone.num_frames_encoded == encoded
    assert again == first


def test_damaged_token_file_counts_as_none(tmp_path):
    backbone = tiny_backbone()
    files = TokenFiles(tmp_path, "m")
    clip, settings = clip_of(items()[0]), parse_method("videogem").settings.attention
    files.put(clip, settings, backbone.encode_frames(backbone.preprocess([clip]), settings))
    (path,) = tmp_path.rglob("*.safetensors")
    assert files.get(clip, settings, backbone.device) is not None
    path.write_bytes(path.read_bytes()[:100])
    assert files.get(clip, settings, backbone.device) is None
    assert TokenFiles(tmp_path, "other").get(clip, settings, backbone.device) is None


def test_similarity_losses_have_a_value_for_every_block():
    losses, videos = similarity_losses(items(), tiny_backbone(), batch_size=3)
    assert losses.shape[:2] == (4, 3)
    assert videos == ["v"] * 4
    assert np.isfinite(losses).all()


def test_all_layers_summed_are_gem():
    whole = "videogem:static,action,static_weights=" + "/".join("1" * 8)
    specs = [parse_method(whole), parse_method("gem"), *figure_3_methods().values()]
    found = predict(TowerPredictor(tiny_backbone(), specs), items())
    assert {id_: one.point for id_, one in found[whole].items()} == {
        id_: one.point for id_, one in found["gem"].items()
    }


def test_a_label_style_that_is_asked_for_goes_before_the_datasets():
    (item,) = items(1)
    item = replace(item, narration="CutTomato", style="label")
    read = [
        words_of(item, parse_method(name).settings)
        for name in ("videogem", "videogem:label_style=camel")
    ]
    assert [words.verbs for words in read] == [("CutTomato",), ("Cut",)]
    named = replace(item, verb="slice")
    assert words_of(named, parse_method("videogem:label_style=camel").settings).verbs == ("slice",)
    thing = replace(item, object="tomato")
    assert words_of(thing, parse_method("videogem").settings).objects == ("tomato",)


def test_summary_is_plain_json():
    dataset = Dataset("d", None, tuple(items()), 4, 4, frozenset({"v"}), {"cut": 4})
    assert json.loads(json.dumps(dataset.summary()))["items"] == 4


@pytest.mark.slow
def test_several_processes_give_the_same_predictions():
    specs = [parse_method("videogem"), parse_method("clip")]
    rows = [
        run("d", items(), ["demo"], specs, RunOptions("cpu", batch_size=2, processes=number)).rows
        for number in (1, 2)
    ]
    assert [row.outcomes for row in rows[0]] == [row.outcomes for row in rows[1]]
