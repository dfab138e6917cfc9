"""Models by name: shipped, local, and on a stand-in for the hub's cache."""

import json
import pickle
from copy import deepcopy
from pathlib import Path

import open_clip
import pytest
import torch
from huggingface_hub import close_session, constants
from safetensors.torch import save_file

from tests.http_server import http_server
from tests.hub_cache import put_in_cache
from tests.towers import TINY_CONFIG, tiny_clip, write_config
from videogem.backbones import architectures, hub
from videogem.backbones.hub import cached, fetch
from videogem.backbones.listing import list_models
from videogem.backbones.manifest import hub_weights
from videogem.backbones.names import parse_model_name
from videogem.backbones.openclip import OPENAI_MEAN, OPENAI_STD, OpenCLIPBackbone
from videogem.backbones.zoo import load_backbone, pick_device
from videogem.errors import InputError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small checkpoint with its config beside it."""
    (tmp_path / "model_config.json").write_text(json.dumps(TINY_CONFIG))
    path = tmp_path / "model.safetensors"
    save_file(tiny_clip().state_dict(), path)
    return path


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


def activation(backbone):
    return type(backbone._visual.transformer.resblocks[0].mlp.gelu).__name__


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


def test_a_config_in_the_hubs_form_beside_local_weights(tmp_path):
    path = tmp_path / "open_clip_model.safetensors"
    save_file(tiny_clip(quick_gelu=True).state_dict(), path)
    write_config(tmp_path, TINY_CONFIG | {"quick_gelu": True}, mean=[0.5] * 3, std=[0.25] * 3)
    backbone = load_backbone(str(path), device="cpu")
    assert (backbone._mean, backbone._std) == ((0.5,) * 3, (0.25,) * 3)
    assert activation(backbone) == "QuickGELU"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "must hold a JSON object"),
        ({"embed_dim": 3}, "must be open_clip's, with embed_dim, vision_cfg and text_cfg"),
        ({"vision_cfg": {"image_size": [64, 32]}}, "takes no squares: its image_size is 64 x 32"),
        ({"vision_cfg": {"patch_size": [16, 8]}}, "takes no squares: its patch_size is 16 x 8"),
        ({"vision_cfg": {"pool_type": "avg"}}, "is pooled in another way"),
        ({"vision_cfg": {"attentional_pool": True}}, "is pooled in another way"),
        ({"vision_cfg": {"layers": [3, 4, 6, 3]}}, "is a ResNet"),
        ({"vision_cfg": {"qk_norm": True}}, "more than plain attention"),
        ({"vision_cfg": {"colours": 3}}, "makes no open_clip model.*colours"),
        ({"vision_cfg": {"head_width": 0}}, "makes no open_clip model"),
        ({"text_cfg": {"vocab_size": -1}}, "makes no open_clip model"),
        (
            {"embed_dim": 8, "vision_cfg": None, "text_cfg": {}},
            "must be open_clip's, with embed_dim",
        ),
        ({"embed_dim": 8, "vision_cfg": {}, "text_cfg": []}, "must be open_clip's, with embed_dim"),
        ({"preprocess": {"mean": [0.5]}}, "'mean' in .* must be three numbers"),
        ({"preprocess": {"mean": "0.5"}}, "'mean' in .* must be three numbers"),
        ({"preprocess": {"std": [0.5, 0, 0.5]}}, "'std' in .* must be above 0"),
        ({"preprocess": {"interpolation": "cubicle"}}, "must be one of nearest, .*bicubic"),
        ({"preprocess": [0.5]}, "'preprocess_cfg' in .* must be a JSON object"),
        ({"viclip": {"colours": 3}}, "'viclip' in .* must have the fields embed_dim"),
    ],
)
def test_configs_that_cannot_be_read_are_told(checkpoint, change, message):
    path = checkpoint.parent / "model_config.json"
    config: dict = deepcopy(TINY_CONFIG)
    if isinstance(change, str):
        path.write_text(change)
    elif "embed_dim" in change or "viclip" in change:
        path.write_text(json.dumps(change))
    else:
        for part in ("vision_cfg", "text_cfg"):
            config[part] |= change.get(part, {})
        pictures = change.get("preprocess", {})
        path.write_text(json.dumps({"model_cfg": config, "preprocess_cfg": pictures}))
    with pytest.raises(InputError, match=message):
        load_backbone(str(checkpoint), device="cpu")


def test_one_number_for_all_channels_is_read_as_open_clip_reads_it(checkpoint):
    config = {"model_cfg": TINY_CONFIG, "preprocess_cfg": {"mean": 0.5, "std": None}}
    (checkpoint.parent / "model_config.json").write_text(json.dumps(config))
    backbone = load_backbone(str(checkpoint), device="cpu")
    assert (backbone._mean, backbone._std) == ((0.5,) * 3, OPENAI_STD)


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_checkpoints_load_into_full_precision(checkpoint, dtype):
    state = {key: value.to(dtype) for key, value in tiny_clip().state_dict().items()}
    save_file(state, checkpoint)
    backbone = load_backbone(str(checkpoint), device="cpu")
    assert {value.dtype for value in backbone._visual.state_dict().values()} == {torch.float32}
    assert torch.equal(backbone._visual.proj, state["visual.proj"].float())


def test_quantised_checkpoints_are_refused(checkpoint):
    """Cast to floats they would load, and point anywhere."""
    state = tiny_clip().state_dict()
    state["visual.proj"] = (100 * state["visual.proj"]).to(torch.int8)
    save_file(state, checkpoint)
    with pytest.raises(InputError, match=r"'visual.proj' as whole numbers .*int8"):
        load_backbone(str(checkpoint), device="cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_finite_numbers_are_refused(checkpoint, dtype, value):
    """They would load, and every point be the same one."""
    state = {key: value.to(dtype) for key, value in tiny_clip().state_dict().items()}
    state["visual.proj"][1, 2] = value
    save_file(state, checkpoint)
    with pytest.raises(InputError, match=r"'visual.proj' with values that are no finite numbers"):
        load_backbone(str(checkpoint), device="cpu")


@pytest.mark.parametrize("value", [0.0, 0.02])
def test_weights_that_were_never_filled_are_refused(checkpoint, value):
    state = {key: torch.full_like(old, value) for key, old in tiny_clip().state_dict().items()}
    save_file(state, checkpoint)
    with pytest.raises(InputError, match=r"holds nothing learned"):
        load_backbone(str(checkpoint), device="cpu")


def test_parts_that_begin_at_zero_are_taken(checkpoint):
    state = tiny_clip().state_dict()
    state["positional_embedding"].zero_()
    save_file(state, checkpoint)
    load_backbone(str(checkpoint), device="cpu")


@pytest.mark.parametrize(
    ("odd", "form"),
    [(3, "int"), ([1.0], "list"), (torch.eye(3).to_sparse(), "torch.sparse_coo"), (None, "None")],
)
@pytest.mark.parametrize("key", ["visual.proj", "logit_scale"])
@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_weights_that_are_no_plain_tensors_are_refused(checkpoint, odd, form, key):
    path = checkpoint.with_suffix(".pt")
    torch.save(tiny_clip().state_dict() | {key: odd}, path)
    name = str(checkpoint).replace(checkpoint.name, path.name)
    with pytest.raises(InputError, match=rf"'{key}' in a form without plain values \(.*{form}"):
        load_backbone(name, device="cpu")


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
