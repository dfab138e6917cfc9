"""Models by name: shipped, local, and on a stand-in for the hub's cache."""

import json
from copy import deepcopy
from pathlib import Path

import open_clip
import pytest
import torch
from huggingface_hub import close_session, constants
from safetensors.torch import save_file

from tests.http_server import http_server
from tests.hub_cache import put_in_cache
from tests.towers import TINY_CONFIG, activation, tiny_clip, write_config
from videogem.backbones import architectures, hub
from videogem.backbones.hub import cached, fetch
from videogem.backbones.listing import list_models
from videogem.backbones.manifest import hub_weights
from videogem.backbones.names import parse_model_name
from videogem.backbones.openclip import OPENAI_MEAN, OpenCLIPBackbone
from videogem.backbones.zoo import load_backbone, pick_device
from videogem.errors import InputError


def test_the_shipped_model_loads():
    backbone = load_backbone("demo", device="cpu")
    assert (backbone.num_blocks, backbone.patch_size, backbone.num_frames) == (12, 16, 1)
    assert backbone.encode_texts(["cook"]).shape == (1, 192)


def test_a_local_checkpoint_loads_by_path(checkpoint):
    backbone = load_backbone(str(checkpoint), device="cpu", image_size=96)
    assert (backbone.num_blocks, backbone.image_size) == (8, 96)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "Unknown model 'resnet'.*videogem models"),
        ("ViT-Z-99/openai", "There is no architecture 'ViT-Z-99'"),
        ("ViT-B-16/nobody", "no weights 'nobody' for 'ViT-B-16'; there are: openai"),
        ("ViCLIP-B-16/nobody", "there are: internvid-10m-flt. For others give a local file"),
        ("ViCLIP-L-14/internvid-200m", "'ViCLIP-L-14:/path/to/weights.safetensors'"),
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


@pytest.fixture
def tiny_architecture(monkeypatch):
    """open_clip's ViT-L-14 and ViT-B-16 at a size that a test can afford."""

    def config(name):
        known = {"ViT-L-14": {}, "ViT-B-16": {}, "ViT-B-16-quickgelu": {"quick_gelu": True}}
        return None if name not in known else deepcopy(TINY_CONFIG) | known[name]

    monkeypatch.setattr(open_clip, "get_model_config", config)


def test_cached_weights_are_listed_and_loaded(hub_cache, tiny_architecture):
    name = "ViT-B-16/openai"
    known = hub_weights()[name]
    assert name not in {model.name for model in list_models() if model.here}
    model = tiny_clip(quick_gelu=True, seed=1)
    put_in_cache(hub_cache, known.repository, known.files[-1], "")  # the first file is preferred
    put_in_cache(hub_cache, known.repository, known.files[0], dict(model.state_dict()))
    assert name in {model.name for model in list_models() if model.here}
    backbone = load_backbone(name, device="cpu")
    tokens = open_clip.SimpleTokenizer(context_length=32)(["cut the tomato"])
    with torch.inference_mode():
        expected = model.encode_text(tokens)
    torch.testing.assert_close(backbone.encode_tokens(tokens), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "mean", "gelu"),
    [
        ("ViT-L-14/laion2b_s32b_b82k", (0.5, 0.5, 0.5), "GELU"),
        ("ViT-L-14/openai", OPENAI_MEAN, "QuickGELU"),
        ("ViT-B-16/laion2b_s34b_b88k", OPENAI_MEAN, "GELU"),
    ],
)
def test_the_tag_tells_normalisation_and_activation(
    hub_cache, tiny_architecture, name, mean, gelu, caplog
):
    known = hub_weights()[name]
    state = dict(tiny_clip().state_dict())
    put_in_cache(hub_cache, known.repository, known.files[0], state)
    backbone = load_backbone(name, device="cpu")
    assert (backbone._mean, activation(backbone)) == (mean, gelu)
    assert not caplog.records


def test_a_file_says_nothing_by_its_name(tmp_path, tiny_architecture, caplog):
    """A folder or file called like OpenAI's weights need not be theirs."""
    path = tmp_path / "my_openai_finetune.safetensors"
    save_file(tiny_clip().state_dict(), path)
    assert activation(load_backbone(f"ViT-B-16:{path}", device="cpu")) == "GELU"
    (record,) = caplog.records
    assert f"'ViT-B-16-quickgelu:{path}'" in record.message
    assert "OpenAI's mean and std are taken" in record.message
    caplog.clear()
    assert activation(load_backbone(f"ViT-B-16-quickgelu:{path}", device="cpu")) == "QuickGELU"
    assert not caplog.records


def test_a_config_beside_weights_of_an_architecture_is_heard(tmp_path, tiny_architecture, caplog):
    path = tmp_path / "w.safetensors"
    save_file(tiny_clip().state_dict(), path)
    told = {"mean": [0.1, 0.2, 0.3], "std": [0.4] * 3, "interpolation": "bilinear"}
    write_config(tmp_path, {"quick_gelu": True}, **told)
    backbone = load_backbone(f"ViT-B-16:{path}", device="cpu")
    assert (backbone._mean, backbone._std) == ((0.1, 0.2, 0.3), (0.4, 0.4, 0.4))
    assert backbone._resampling.name == "BILINEAR"
    assert activation(backbone) == "QuickGELU"
    assert not caplog.records
    write_config(tmp_path, {"quick_gelu": False})
    with pytest.raises(InputError, match=r"'ViT-B-16-quickgelu' says QuickGELU, .* says GELU"):
        load_backbone(f"ViT-B-16-quickgelu:{path}", device="cpu")
    # The config of another model in the same folder is not about this file.
    write_config(tmp_path, TINY_CONFIG | {"embed_dim": 32, "quick_gelu": True}, **told)
    assert activation(load_backbone(f"ViT-B-16:{path}", device="cpu")) == "GELU"


@pytest.mark.parametrize("model", ["demo", "demo-viclip"])
@pytest.mark.parametrize("size", [0, -16])
def test_an_input_of_no_pixels_is_not_the_models_own(model, size):
    with pytest.raises(InputError, match=f"multiple of the patch size .*got {size}"):
        load_backbone(model, device="cpu", image_size=size)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-16-SigLIP/webli", "is timm's vit_base_patch16_siglip_224"),
        ("RN50/openai", "is a ResNet"),
        ("ViT-L-14-CLIPA/datacomp1b", "is pooled in another way"),
        ("coca_ViT-L-14/laion2b_s13b_b90k", "is pooled in another way"),
        ("EVA02-B-16/merged2b_s8b_b131k", "is timm's eva02_base_patch16_clip_224"),
    ],
)
def test_towers_that_cannot_be_read_are_refused_before_any_download(monkeypatch, name, message):
    for function in ("fetch", "fetch_repository"):
        monkeypatch.setattr(hub, function, lambda *_: pytest.fail("fetched"))
    with pytest.raises(InputError, match=message):
        load_backbone(name, device="cpu")


@pytest.mark.parametrize("name", ["ViT-B-16/openai", "ViCLIP-B-16/internvid-10m-flt"])
def test_input_sizes_that_cut_patches_are_refused_before_any_download(monkeypatch, name):
    monkeypatch.setattr(hub, "fetch", lambda *_: pytest.fail("fetched"))
    with pytest.raises(InputError, match=r"multiple of the patch size of .*, 16; got 230"):
        load_backbone(name, device="cpu", image_size=230)


def test_missing_packages_of_multilingual_towers_are_told_before_any_download(monkeypatch):
    monkeypatch.setattr(hub, "fetch", lambda *_: pytest.fail("fetched"))
    monkeypatch.setattr(architectures, "MULTILINGUAL", ("no_such_package",))
    for name in ("xlm-roberta-base-ViT-B-32", "ViT-H-14-worldwide"):
        (tag,) = open_clip.list_pretrained_tags_by_model(name)
        with pytest.raises(InputError, match=r"needs no_such_package.*\[multilingual\]"):
            load_backbone(f"{name}/{tag}", device="cpu")


def test_a_tower_in_bf16_keeps_its_text_side(checkpoint):
    backbone = load_backbone(str(checkpoint), device="cpu", dtype="bf16")
    assert backbone._visual.proj.dtype == torch.bfloat16
    assert backbone.encode_texts(["cook"]).dtype == torch.float32


def test_a_model_repository_loads_from_the_cache(hub_cache):
    state = tiny_clip().state_dict()
    put_in_cache(hub_cache, "org/name", "open_clip_model.safetensors", dict(state))
    config = {"model_cfg": TINY_CONFIG, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.2] * 3}}
    put_in_cache(hub_cache, "org/name", "open_clip_config.json", json.dumps(config))
    backbone = load_backbone("hf-hub:org/name", device="cpu")
    assert isinstance(backbone, OpenCLIPBackbone)
    assert torch.equal(backbone._visual.proj, state["visual.proj"])
    assert backbone._mean == (0.5, 0.5, 0.5)  # the repository's own statistics


def test_a_model_repository_is_refused_by_its_config_before_its_weights_are_fetched(
    hub_cache, monkeypatch
):
    config = deepcopy(TINY_CONFIG)
    config["vision_cfg"]["timm_model_name"] = "vit_base_patch16_siglip_224"
    put_in_cache(hub_cache, "org/name", "open_clip_config.json", json.dumps({"model_cfg": config}))
    monkeypatch.setattr(hub, "fetch_repository", lambda *_: pytest.fail("fetched"))
    with pytest.raises(InputError, match=r"'hf-hub:org/name' is timm's"):
        load_backbone("hf-hub:org/name", device="cpu")


def test_the_cache_is_searched_in_order(hub_cache):
    assert cached("some/repository", ["a.safetensors", "b.safetensors"]) is None
    put_in_cache(hub_cache, "some/repository", "b.safetensors", {"x": torch.zeros(1)})
    found = cached("some/repository", ["a.safetensors", "b.safetensors"])
    assert found is not None and found.name == "b.safetensors"
    assert fetch("some/repository", ["a.safetensors", "b.safetensors"]) == found
    assert hub.cached("", ["a"]) is None


def test_names_are_taken_apart_without_loading():
    assert parse_model_name("ViT-B-16/openai").tag == "openai"
    assert parse_model_name("ViT-B-16:/a/b.pt").path == Path("/a/b.pt")
    assert parse_model_name("hf-hub:org/name").architecture == "hf-hub:org/name"


def test_devices_that_are_not_there_are_told():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(InputError, match=r"device 'quantum' cannot be used"):
        pick_device("quantum")
