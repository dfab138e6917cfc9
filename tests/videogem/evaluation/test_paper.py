"""The tables, figures and numbers of the paper."""

from dataclasses import replace

import numpy as np
import pytest

from tests.videogem.evaluation.items import item, rows_of
from videogem.errors import InputError
from videogem.evaluation.paper import (
    PAPER_MODELS,
    TABLES,
    figure_3_methods,
    figure_4_methods,
    published,
    published_accuracy,
    published_systems,
    table_methods,
)
from videogem.evaluation.report import markdown_table


def test_tables_have_the_rows_of_the_paper():
    printed = published()["rows"]
    for number, table in TABLES.items():
        own = [row for row in printed if row["table"] == number and row["method"] is not None]
        assert {row["name"]: row["method"] for row in own} == (
            dict(table.rows) if number != "1+" else {}
        )
    assert [spec.name for spec in table_methods("1")] == ["gem", "videogem"]
    assert [spec.name for spec in table_methods("1+")][-2:] == ["gem", "videogem"]
    assert len(table_methods("1+")) == 6
    assert [spec.repeat_target for spec in table_methods("5")] == [False, True, False, True]
    with pytest.raises(InputError, match="1 to 5"):
        table_methods("6")


def test_figure_3_leaves_one_layer_out():
    methods = figure_3_methods()
    assert list(methods) == [*range(1, 9)]
    assert methods[1].settings.static_weights == (*[1.0] * 7, 0.0)  # the last block
    assert methods[8].settings.static_weights == (0.0, *[1.0] * 7)  # the input of the first
    for spec in methods.values():
        assert spec.settings.prompt_weights == (0.0, 0.0, 1.0)
        assert spec.settings.weights == "static"


def test_figure_4_adds_layers_from_the_last():
    methods = figure_4_methods()
    assert list(methods) == [*range(8)]
    assert methods[0].settings.method == "clip"
    assert [spec.settings.depth for spec in methods.values()][1:] == [*range(1, 8)]
    assert {spec.settings.method for spec in methods.values()} == {"clip", "gem"}


def test_printed_numbers_agree_with_their_means():
    rows = published()["rows"]
    assert [sum(row["table"] == number for row in rows) for number in "12345"] == [14, 8, 8, 8, 4]
    for row in rows:
        if row["mean"] is None or None in row["accuracy"]:
            continue
        misprinted = row["model"] == "ViCLIP" and row["method"] == "videogem:action"
        mean = 61.20 if misprinted else row["mean"]
        assert np.mean(row["accuracy"]) == pytest.approx(mean, abs=0.006)
    same = {(row["table"], row["method"], row["model"]): row["accuracy"] for row in rows}
    for model in ("ViCLIP", "OpenCLIP"):  # one method under several names
        whole = [same["1", "videogem", model], same["2", "videogem:combined", model]]
        whole += [same["3", "videogem:all", model], same["4", "videogem:positions", model]]
        assert whole.count(whole[0]) == 4


@pytest.mark.parametrize(
    ("table", "method", "model", "dataset", "expected"),
    [
        ("1", "videogem", "ViT-B-16/openai", "daly", 0.8453),
        ("1+", "gem", "ViCLIP-B-16/internvid-10m-flt", "vhico", 0.6508),
        ("1+", "clip", "ViT-B-16/openai", "daly", None),
        ("2", "videogem:static", "ViCLIP-B-16/internvid-10m-flt", "youcook-videogem", 0.5502),
        ("3", "videogem:verb", "ViT-B-16/laion2b_s34b_b88k", "groundingyoutube", 0.2160),
        ("4", "videogem:action", "ViT-B-16/laion2b_s34b_b88k", "vhico", 0.6677),
        ("5", "gem:repeat", "ViCLIP-B-16/internvid-10m-flt", "groundingyoutube", 0.4880),
        ("2", "videogem:static", "ViT-B-16/openai", "daly", None),  # not printed for CLIP
        ("1", "videogem", "demo", "daly", None),
        ("1", "videogem", "ViT-B-16/openai", "jsonl", None),
    ],
)
def test_the_papers_number_stands_beside_the_papers_own(table, method, model, dataset, expected):
    found = published_accuracy(table, method, model, dataset)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    "model",
    [
        "ViT-H-14/laion2b_s32b_b79k",
        "ViT-B-16/laion400m_e32",
        "ViT-L-14/openai",
        "ViT-B-16:/weights/open_clip_model.safetensors",
        "ViCLIP-B-16:/weights/ViCLIP-B_InternVid-FLT-10M.pth",
        "ViCLIP-B-16/internvid-200m",
        "ViCLIP-L-14/internvid-10m-flt",
    ],
)
def test_other_weights_stand_beside_no_number_of_the_paper(model):
    assert model not in PAPER_MODELS
    assert published_accuracy("1", "videogem", model, "daly") is None


def test_the_papers_numbers_are_of_its_data_in_full():
    row = rows_of([item("a")], [(0.3, 0.3)])
    row = replace(row, dataset="daly", model="ViT-B-16/openai", method="videogem")
    table = markdown_table([row], "1", as_published=["daly"])
    assert table.splitlines()[0].endswith("| paper % |")
    assert "| VideoGEM | videogem |" in table
    assert "84.53 |" in table
    assert "WWW-CLIP (CLIP) 70.08" in table
    other = markdown_table([row], "1")
    assert "paper" not in other.splitlines()[0]
    assert "84.53" not in other and "WWW-CLIP" not in other
    assert published_systems("1", "youcook")["TubeDETR (ResNet101, RoBERTa)"] == 0.5163
