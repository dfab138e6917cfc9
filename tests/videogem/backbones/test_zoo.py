"""Models by name: shipped, local, and on a stand-in for the hub's cache."""

import json
import pickle
from pathlib import Path

import open_clip
import pytest
import torch
from huggingface_hub import close_session, constants
from safetensors.torch import save_file

from tests.http_server import http_server
from tests.towers import tiny_clip
from videogem.backbones import hub
from videogem.backbones.hub import cached, fetch, open_clip_files
from videogem.backbones.listing import list_models
from videogem.backbones.names import parse_model_name
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.zoo import load_backbone, pick_device
from videogem.errors import InputError

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 64,
        "layers": 8,
        "width": 32,
        "head_width": 16,
        "patch_size": 16,
    },
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small checkpoint with its config beside it."""
    (tmp_path / "model_config.json").write_text(json.dumps(CONFIG))
    path = tmp_path / "model.safetensors"
    save_file(tiny_clip().state_dict(), path)
    return path


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put_in_cache(cache: Path, repository: str, file: str, state: dict[str, torch.Tensor]) -> None:
    """What the hub's own client leaves behind after a download."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0123abc")
    (folder / "snapshots" / "0123abc").mkdir(parents=True)
    save_file(state, folder / "snapshots" / "0123abc" / file)


def test_the_shipped_model_loads():
    backbone = load_backbone("demo", device="cpu")
    assert (backbone.num_blocks, backbone.patch_size, backbone.num_frames) == (12, 16, 1)
    assert backbone.encode_texts(["cook"]).shape == (1, 192)


def test_a_local_checkpoint_loads_by_path(checkpoint):
    backbone = load_backbone(str(checkpoint), device="cpu", image_size=96)
    assert (backbone.num_blocks, backbone.image_size) == (8, 96)


def test_pickled_tensors_load_and_other_pickles_do_not(checkpoint):
    weights = checkpoint.with_suffix(".pt")
    torch.save(tiny_clip().state_dict(), weights)
    assert load_backbone(str(weights), device="cpu").num_blocks == 8

    class Code:
        def __reduce__(self):
            return (print, ("this must never run",))

    weights.write_bytes(pickle.dumps(Code(), protocol=2))
    with pytest.raises(InputError, match="could run code; convert it to safetensors"):
        load_backbone(str(weights), device="cpu")


def test_damaged_and_foreign_files_are_told(checkpoint):
    state = tiny_clip(layers=7).state_dict()
    save_file(state, checkpoint)
    with pytest.raises(InputError, match=r"missing 'visual.transformer.resblocks.7.*' \(and"):
        load_backbone(str(checkpoint), device="cpu")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        load_backbone(str(checkpoint), device="cpu")
    checkpoint.unlink()
    with pytest.raises(InputError, match="There is no weights file"):
        load_backbone(str(checkpoint), device="cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "Unknown model 'resnet'.*videogem models"),
        ("ViT-Z-99/openai", "open_clip knows no architecture 'ViT-Z-99'"),
        ("ViT-B-16/nobody", "no weights 'nobody' for 'ViT-B-16'; there are: openai"),
        ("ViCLIP-B-16/nobody", "there are: internvid-10m-flt, internvid-200m"),
        ("ViT-B-16:/no/such/file.safetensors", "There is no weights file"),
    ],
)
def test_unknown_names_are_told(name, message):
    with pytest.raises(InputError, match=message):
        load_backbone(name, device="cpu")


def test_weights_that_cannot_be_fetched_are_told_at_once(hub_cache):
    with pytest.raises(InputError, match=r"not on this machine.*connect to the internet once"):
        load_backbone("ViT-B-32/openai", device="cpu")


def test_an_unreachable_hub_is_told_at_once(hub_cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(InputError, match="could not be fetched from the hub"):
        fetch("some/repository", ["weights.safetensors"])


def test_the_hub_is_asked_through_the_proxy_that_its_client_uses(hub_cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.example")  # no such name
    with http_server() as proxy:
        for name in ("http_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        close_session()  # the client reads the environment when it is made
        try:
            hub._check_reachable("'weights'")
        finally:
            close_session()
        assert [target.rstrip("/") for target in proxy.targets] == ["http://hub.example"]


@pytest.mark.slow
def test_cached_weights_load_with_quick_gelu_where_the_tag_needs_it(hub_cache):
    repository, files = open_clip_files("ViT-B-32", "openai")
    assert "ViT-B-32/openai" not in {name for name, here in list_models() if here}
    model = open_clip.create_model("ViT-B-32", force_quick_gelu=True, load_weights=False).eval()
    put_in_cache(hub_cache, repository, files[0], dict(model.state_dict()))
    assert "ViT-B-32/openai" in {name for name, here in list_models() if here}
    backbone = load_backbone("ViT-B-32/openai", device="cpu")
    tokens = open_clip.get_tokenizer("ViT-B-32")(["cut the tomato"])
    with torch.inference_mode():
        expected = model.encode_text(tokens)
    torch.testing.assert_close(backbone.encode_tokens(tokens), expected, atol=1e-4, rtol=1e-4)


def test_a_model_repository_loads_from_the_cache(hub_cache):
    state = tiny_clip().state_dict()
    put_in_cache(hub_cache, "org/name", "open_clip_model.safetensors", dict(state))
    (snapshot,) = hub_cache.glob("models--org--name/snapshots/*")
    config = {"model_cfg": CONFIG, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.2] * 3}}
    (snapshot / "open_clip_config.json").write_text(json.dumps(config))
    backbone = load_backbone("hf-hub:org/name", device="cpu")
    assert isinstance(backbone, OpenCLIPBackbone)
    assert torch.equal(backbone._visual.proj, state["visual.proj"])
    assert tuple(backbone._mean) == (0.5, 0.5, 0.5)  # the repository's own statistics


def test_the_cache_is_searched_in_order(hub_cache):
    assert cached("some/repository", ["a.safetensors", "b.safetensors"]) is None
    put_in_cache(hub_cache, "some/repository", "b.safetensors", {"x": torch.zeros(1)})
    found = cached("some/repository", ["a.safetensors", "b.safetensors"])
    assert found is not None and found.name == "b.safetensors"
    assert fetch("some/repository", ["a.safetensors", "b.safetensors"]) == found
    assert hub.cached("", ["a"]) is None


def test_names_are_taken_apart_without_loading(tmp_path):
    assert parse_model_name("ViT-B-16/openai").tag == "openai"
    assert parse_model_name("ViT-B-16:/a/b.pt").path == Path("/a/b.pt")
    assert parse_model_name("hf-hub:org/name").architecture == "hf-hub:org/name"
    small, large = tmp_path / "w.pt", tmp_path / "v.pt"
    small.write_bytes(b"1")
    large.write_bytes(b"12")
    assert parse_model_name(str(small)).version == "local:w.pt:1"
    assert parse_model_name(f"ViT-B-16:{large}").version == "ViT-B-16:v.pt:2"


def test_devices_that_are_not_there_are_told():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(InputError, match=r"device 'quantum' cannot be used"):
        pick_device("quantum")
