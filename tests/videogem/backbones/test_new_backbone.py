"""A new kind of models is one file: found by itself, loaded by name or by its config, and asked."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend import cli
from videogem.backbones import families, zoo
from videogem.backbones.zoo import load_backbone, model_families
from videogem.errors import InputError

COLOURS = '''"""Looks for colours by their names: a patch is its mean colour less its grey."""

import json

import numpy as np
import torch

from videogem.backbones.base import check_image_size
from videogem.backbones.family import Family
from videogem.method.backbone import ImageTokens


class Colours:
    """Colours of a table (name: red, green, blue), on patches of 8 x 8 pixels."""

    num_frames, num_blocks, patch_size, image_size = 1, 12, 8, 64

    def __init__(self, name, table, device):
        self.name, self.table, self.device = name, table, device
        self.fingerprint = json.dumps(table)

    def preprocess(self, clips):
        size = self.image_size
        frames = [clip.target_frame for clip in clips]
        assert all(frame.shape[:2] == (size, size) for frame in frames)
        return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float().to(self.device) / 255

    def encode_frames(self, pixels, settings, *, target=None):
        grid = self.image_size // self.patch_size
        patches = torch.nn.functional.avg_pool2d(pixels, self.patch_size).flatten(2).mT
        patches = patches - patches.mean(-1, keepdim=True)  # grey has no colour
        tokens = torch.cat([patches.mean(1, keepdim=True), patches], 1)
        terms = torch.stack([tokens] * (settings.depth + 1))
        return ImageTokens(terms, terms[:, :, 0], (grid, grid, 1))

    def project(self, tokens):
        return tokens

    def encode_texts(self, texts):
        table = {name: torch.tensor(row, device=self.device) for name, row in self.table.items()}
        nothing = torch.zeros(3, device=self.device)
        rows = [sum((table[n] for n in table if n in text), nothing) for text in texts]
        rows = torch.stack(rows)
        return torch.nn.functional.normalize(rows - rows.mean(-1, keepdim=True), dim=-1)


def load(wanted):
    check_image_size(wanted.image_size, Colours.patch_size, wanted.name.text)
    return Colours(wanted.name.text, json.loads(wanted.weights().read_text()), wanted.device)


FAMILY = Family("colours", lambda name: name == "Colours-8", load)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules belong to the families until the test ends."""
    own = tmp_path / "families"
    own.mkdir()
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(own)])
    model_families.cache_clear()
    yield own
    monkeypatch.undo()
    model_families.cache_clear()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_text(json.dumps({"red": [1.0, 0.0, 0.0], "green": [0.0, 1.0, 0.0]}))
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Something red at the upper left, something green at the lower right."""
    pixels = np.full((64, 64, 3), 128, np.uint8)
    pixels[8:24, 8:24], pixels[40:56, 40:56] = (230, 20, 20), (20, 230, 20)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def ground(monkeypatch, capsys, *arguments: object) -> dict:
    given = ["videogem", "ground", *map(str, arguments), "--style", "label", "--json"]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    return json.loads(capsys.readouterr().out)


def test_without_its_file_the_architecture_is_unknown(weights) -> None:
    with pytest.raises(InputError, match="There is no architecture 'Colours-8'"):
        load_backbone(f"Colours-8:{weights}", device="cpu")


@pytest.mark.parametrize("by_its_config", [False, True])
def test_a_new_file_is_loaded_by_name_or_config_and_points(
    by_its_config, folder, weights, picture, monkeypatch, capsys
) -> None:
    (folder / "colours.py").write_text(COLOURS)
    model = str(weights) if by_its_config else f"Colours-8:{weights}"
    if by_its_config:
        weights.with_name("model_config.json").write_text('{"colours": {}}')
    for narration, place in (("cut red", (16, 16)), ("cut green", (48, 48))):
        found = ground(monkeypatch, capsys, picture, "--narration", narration, "--model", model)
        assert found["components"]["object"]["point"] == pytest.approx(place, abs=4)  # half a patch
    with pytest.raises(InputError, match=f"multiple of the patch size of '{model}', 8; got 60"):
        load_backbone(model, device="cpu", image_size=60)


def test_two_files_for_one_name_or_architecture_are_refused(folder, weights) -> None:
    (folder / "one.py").write_text(COLOURS)
    (folder / "two.py").write_text(COLOURS.replace('"colours"', '"paints"'))
    with pytest.raises(RuntimeError, match="'Colours-8' is an architecture of colours and paints"):
        load_backbone(f"Colours-8:{weights}", device="cpu")
    (folder / "three.py").write_text(COLOURS)
    zoo.model_families.cache_clear()
    with pytest.raises(RuntimeError, match="two families have one name"):
        load_backbone("demo", device="cpu")
