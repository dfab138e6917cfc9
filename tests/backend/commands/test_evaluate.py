import csv
import json
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from backend import cli
from backend.commands import evaluate as command
from backend.commands.support.evaluation_steps import limited
from tests.towers import tiny_backbone
from videogem.backbones import zoo
from videogem.datasets.registry import read_dataset
from videogem.datasets.resolve import image_size


@pytest.fixture
def videogem(monkeypatch, capsys):
    """The command as people call it: arguments in; exit code, stdout and stderr out."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["videogem", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def small_model(monkeypatch):
    """The demo model's name with a tower that a test can afford."""
    monkeypatch.setattr(zoo, "load_backbone", lambda name, **options: tiny_backbone())


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    folder = tmp_path / "set"
    folder.mkdir()
    for index, words in enumerate(["cut tomato", "stir soup", "pour milk", "peel banana"]):
        image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{index}.png")
        rows.append(
            {
                "image": f"{index}.png",
                "narration": words,
                "boxes": [[0, 0, 40, 48]],
                "label": words.split()[0],
            }
        )
    rows.append({"image": "gone.png", "narration": "fry egg", "boxes": [[0, 0, 4, 4]]})
    (folder / "annotations.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


FIELDS = ["method", "model", "accuracy", "low", "high", "n", "box_iou"]


def test_json_is_a_list_of_rows_and_nothing_else(videogem, root, small_model):
    code, out, err = videogem(
        "evaluate", "--dataset", "jsonl", "--root", root, "--json",
        *("--method", "videogem", "--method", "gem", "--method", "clip"),
    )  # fmt: skip
    assert code == 0
    rows = json.loads(out)
    assert [row["method"] for row in rows] == ["videogem", "gem", "clip"]
    for row in rows:
        assert list(row) == FIELDS
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert (row["n"], row["model"]) == (4, "demo")
    assert "1 x no frame" in err


def test_out_writes_everything_and_a_second_run_computes_nothing(
    videogem, root, tmp_path, small_model, monkeypatch
):
    arguments = ("evaluate", "--dataset", "jsonl", "--root", root, "--out", tmp_path / "out")
    methods = ("--method", "videogem", "--method", "clip")
    code, out, _ = videogem(*arguments, *methods)
    assert code == 0
    assert "| videogem | demo |" in out
    *_, comparison, _, told = out.splitlines()
    assert "videogem" in comparison
    assert told.startswith(f"Written to {tmp_path / 'out'}: ") and "results.csv" in told
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"predictions", "results.json", "results.csv", "results.md", "results.png"}
    content = json.loads((tmp_path / "out/results.json").read_text())
    assert content["rows"][0]["by_class"]["cut"]["n"] == 1
    assert content["datasets"][0]["dropped"] == {"no frame": 1}
    lines = list(csv.DictReader((tmp_path / "out/results.csv").read_text().splitlines()))
    assert [line["method"] for line in lines] == ["videogem", "clip"]
    assert image_size(tmp_path / "out/results.png")[0] > 300

    def refuse(*_, **__):
        raise AssertionError("a finished run must not load the model")

    monkeypatch.setattr(zoo, "load_backbone", refuse)
    code, again, _ = videogem(*arguments, *methods)
    assert (code, again) == (0, out)


def test_tables_and_figures(videogem, root, tmp_path, small_model):
    base = ("evaluate", "--dataset", "jsonl", "--root", root)
    for table, count in (("1", 2), ("1+", 6), ("2", 4), ("3", 4), ("4", 4)):
        code, out, _ = videogem(*base, "--table", table, "--json")
        assert code == 0
        assert len(json.loads(out)) == count
    code, _, err = videogem(*base, "--table", 5)
    assert code == 2
    assert "needs a video model" in err
    figures = {"3": [*range(1, 9)], "4": [*range(8)], "cosine": [6, 7, 8]}
    for figure, places in figures.items():
        code, _, _ = videogem(*base, "--figure", figure, "--out", tmp_path / "f", "--limit", 2)
        assert code == 0
        assert (tmp_path / f"f/figure_{figure}.png").stat().st_size > 5000
        values = json.loads((tmp_path / f"f/figure_{figure}.json").read_text())
        prompts = {"verb", "object", "action"} if figure == "cosine" else {"action"}
        assert {value["prompt"] for value in values} == prompts
        assert all(value["low"] <= value["y"] <= value["high"] for value in values)
        if figure != "cosine":
            assert [value["x"] for value in values] == places


def test_other_systems(videogem, root, tmp_path):
    code, _, _ = videogem(
        "datasets", "jsonl", "--root", root, "--items", tmp_path / "i.jsonl", "--json"
    )
    assert code == 0
    ids = [json.loads(line)["id"] for line in (tmp_path / "i.jsonl").read_text().splitlines()]
    answers = [{"id": id_, "point": [39 + 10 * (i > 1), 5]} for i, id_ in enumerate(ids)]
    path = tmp_path / "theirs.jsonl"
    path.write_text("\n".join(map(json.dumps, answers)))
    code, out, _ = videogem(
        *("evaluate", "--dataset", "jsonl", "--root", root, "--json"),
        *("--predictions", f"GroundingDINO={path}", "--predictions", path),
    )
    assert code == 0
    first, second = json.loads(out)
    assert (first["method"], second["method"]) == ("GroundingDINO", "theirs")
    assert (first["accuracy"], first["n"], first["box_iou"]) == (0.5, 4, None)


def test_datasets_command(videogem, root):
    code, out, _ = videogem("datasets", "jsonl", "--root", root, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["items"], found["usable"], found["boxes"]) == (5, 4, 5)
    assert found["dropped"] == {"no frame": 1}
    code, out, _ = videogem("datasets", "jsonl", "--root", root)
    assert "no frame" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("datasets", "imagenet"), "There is no dataset 'imagenet'"),
        (("datasets", "jsonl"), "--root DIR"),
        (("datasets", "jsonl", "--root", "/nowhere"), "does not exist"),
        (("datasets", "jsonl", "--root", "{root}", "--drop", "ugly"), "--drop takes one of"),
        (("evaluate", "--dataset", "jsonl", "--root", "/nowhere"), "does not exist"),
        (("evaluate", "--dataset", "nothing"), "There is no dataset"),
        (("evaluate", "--method", "best"), "There is no method 'best'"),
        (("evaluate", "--actors", "4"), "--actors must be"),
        (("evaluate", "--table", "7"), "tables are 1 to 5"),
        (("evaluate", "--figure", "1", "--out", "x"), "--figure must be one of 3, 4, cosine"),
        (("evaluate", "--figure", "3"), "--out DIR"),
        (("evaluate", "--rule", "loose"), "--rule must be"),
        (
            ("evaluate", "--dataset", "jsonl", "--root", "{root}", "--model", "no-such"),
            "Unknown model 'no-such'",
        ),
        (
            ("evaluate", "--dataset", "jsonl", "--root", "{root}", "--predictions", "/no/file"),
            "no predictions file",
        ),
    ],
)
def test_errors_are_one_sentence_and_exit_code_2(videogem, root, arguments, words):
    code, out, err = videogem(*(str(text).format(root=root) for text in arguments))
    assert code == 2
    assert out == ""
    message = err.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    assert words in message
    assert "Traceback" not in err


def test_a_dataset_without_usable_items_is_an_error(videogem, tmp_path, small_model):
    row = {"image": "gone.png", "narration": "fry egg", "boxes": [[0, 0, 4, 4]]}
    (tmp_path / "annotations.jsonl").write_text(json.dumps(row))
    code, _, err = videogem("evaluate", "--dataset", "jsonl", "--root", tmp_path)
    assert code == 2
    assert "no usable item" in err


def test_several_datasets_need_matching_roots(videogem, root):
    code, _, err = videogem(
        *("evaluate", "--dataset", "jsonl", "--dataset", "jsonl", "--dataset", "jsonl"),
        *("--root", root, "--root", root),
    )
    assert code == 2
    assert "one --root for all" in err


def test_help_names_the_options_of_the_docs(videogem):
    assert command.evaluate.__doc__
    code, out, _ = videogem("evaluate", "--help")
    assert code == 0
    assert "predictions" in out


def test_a_draw_takes_all_classes_in_turn(root):
    items = read_dataset("jsonl", root).items
    many = tuple(
        replace(items[0], id=f"{label}{index}", label=label)
        for label, count in (("cut", 50), ("stir", 5), ("pour", 2))
        for index in range(count)
    )
    dataset = replace(read_dataset("jsonl", root), items=many)
    drawn = [limited(dataset, 9, seed) for seed in (0, 0, 1)]
    counts = Counter(item.label for item in drawn[0].items)
    assert counts["pour"] == 2  # all there are; the seven others are shared as evenly as can be
    assert sorted((counts["cut"], counts["stir"])) == [3, 4]
    ids = [[item.id for item in one.items] for one in drawn]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] == sorted(ids[0], key=[item.id for item in many].index)  # the dataset's order
    assert "9 of 57 items" in drawn[0].notes[0]
    assert limited(dataset, 57, 0) is dataset


def test_what_is_left_out_by_a_system_counts_and_is_told(videogem, root, tmp_path):
    path = tmp_path / "theirs.jsonl"
    path.write_text('{"id": "1", "point": [5, 5]}\n{"id": "2", "point": [5, 5]}')
    arguments = ("evaluate", "--dataset", "jsonl", "--root", root, "--predictions", path)
    code, out, err = videogem(*arguments)
    assert code == 0
    assert "without prediction" in out and "| 50.0 |" in out
    assert "2 items have no prediction and count as misses" in err
    code, out, _ = videogem(*arguments, "--allow-missing", "--json")
    assert (json.loads(out)[0]["n"], json.loads(out)[0]["accuracy"]) == (2, 1.0)


def test_settings_and_reference_of_a_run(videogem, root, small_model):
    base = ("evaluate", "--dataset", "jsonl", "--root", root, "--method", "gem", "--method", "clip")
    code, out, _ = videogem(*base, "--label-style", "label", "--reference", "clip")
    assert code == 0
    assert "clip against gem: too few videos to tell" in out
    for option, message in (
        (("--label-style", "snake"), "label_style must be one of"),
        (("--spacy-model", "no_such_model"), "no_such_model"),
        (("--reference", "maskclip"), "There is no run 'maskclip'"),
    ):
        code, _, err = videogem(*base, *option)
        assert (code, "Traceback" in err) == (2, False)
        assert message in err
