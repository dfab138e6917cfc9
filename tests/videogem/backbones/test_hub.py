"""What the hub answers, told to people; what it has, compared with the list of weights."""

import socket
import subprocess
import sys

import open_clip
import pytest
import torch
from huggingface_hub import close_session, constants
from huggingface_hub.hf_api import ModelInfo

from tests.http_server import Answer, http_server
from tests.hub_cache import put_in_cache
from tests.towers import tiny_viclip_config
from videogem.backbones.architectures import why_unreadable
from videogem.backbones.families.open_clip import build_model
from videogem.backbones.families.viclip import SIZES
from videogem.backbones.hub import OPEN_CLIP_FILES, fetch, fetch_repository, revision
from videogem.backbones.hub_check import check, differences
from videogem.backbones.listing import list_models
from videogem.backbones.manifest import hub_weights
from videogem.backbones.viclip import ViCLIP
from videogem.backbones.zoo import load_backbone
from videogem.errors import InputError

VICLIP = "ViCLIP-B-16/internvid-10m-flt"


@pytest.fixture
def hub(hub_cache, monkeypatch):
    """A stand-in for the hub on this machine; answers 404 until told otherwise."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with http_server() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            server.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        close_session()
        yield server
        close_session()


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "GatedRepo", r"accept the terms on that page, and set HF_TOKEN"),
        (403, "GatedRepo", r"accept the terms on that page, and set HF_TOKEN"),
        (403, "", r"accept the terms on that page, and set HF_TOKEN"),
        (401, "", r"accept the terms on that page, and set HF_TOKEN"),
        (401, "RepoNotFound", r"no repository 'org/name'.*HF_TOKEN"),
        (404, "RepoNotFound", r"no repository 'org/name'.*check the name"),
        (404, "EntryNotFound", r"The hub has no 'b.bin' of 'org/name'"),
    ],
)
def test_refusals_of_the_hub_say_what_to_do(hub, status, code, message):
    headers = {"X-Error-Code": code} if code else {}
    hub.fallback = lambda _: Answer(b"", status, headers)
    with pytest.raises(InputError, match=message) as told:
        fetch("org/name", ["a.safetensors", "b.bin"])
    assert "connect to the internet" not in str(told.value)
    if "terms" in message:
        assert f"{hub.url}/org/name" in str(told.value)


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_is_busy_is_no_missing_network(hub, monkeypatch, status):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # between tries
    hub.fallback = lambda _: Answer(b"", status)
    for ask in (lambda: fetch("org/name", ["a.bin"]), lambda: fetch_repository("hf-hub:org/name")):
        with pytest.raises(InputError, match=f"answered {status}: it is busy.*later") as told:
            ask()
        assert "connect to the internet" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "proxy"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("HTTP_PROXY", "ftp://user:secret@127.0.0.1:9"),
        ("HTTP_PROXY", "http://user:secret@[::1"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told(hub, monkeypatch, name, proxy):
    monkeypatch.setenv(name, proxy)
    close_session()
    assert revision("org/behind-a-proxy", ["a.bin"]) is None
    for ask in (lambda: fetch("org/name", ["a.bin"]), lambda: fetch_repository("hf-hub:org/name")):
        with pytest.raises(InputError, match=r"ALL_PROXY\) cannot be used") as told:
            ask()
        assert "secret" not in str(told.value)


@pytest.mark.parametrize("hub_at", ["http://hub.example", "https://hub.example"])
def test_a_proxy_that_asks_for_a_password_is_no_missing_network(hub, monkeypatch, hub_at):
    """It answers in the hub's place, or refuses the way to it."""
    hub.fallback = lambda _: Answer(b"", 407)
    for scheme in ("HTTP", "HTTPS"):
        monkeypatch.setenv(f"{scheme}_PROXY", hub.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setattr(constants, "ENDPOINT", hub_at)
    close_session()
    with pytest.raises(InputError, match=r"user and a password \(407\).*HTTPS_PROXY") as told:
        fetch("org/name", ["a.bin"])
    assert "connect to the internet" not in str(told.value)
    assert hub.requests


def test_a_gated_model_repository_says_what_to_do(hub):
    hub.fallback = lambda _: Answer(b"", 403, {"X-Error-Code": "GatedRepo"})
    with pytest.raises(InputError, match="accept the terms on that page"):
        fetch_repository("hf-hub:org/name")


def test_viclip_loads_from_the_repository_that_has_it(hub_cache, monkeypatch):
    monkeypatch.setitem(SIZES, "ViCLIP-B-16", tiny_viclip_config())
    known = hub_weights()[VICLIP]
    assert (known.repository, known.files) == ("OpenGVLab/ViCLIP-B-16-hf", ("model.safetensors",))
    torch.manual_seed(0)
    state = dict(ViCLIP(tiny_viclip_config()).state_dict())
    put_in_cache(hub_cache, known.repository, "model.safetensors", state)
    backbone = load_backbone(VICLIP, device="cpu")
    for key, value in backbone._model.state_dict().items():
        assert torch.equal(value, state[key])


def test_viclip_without_network_says_how_to_get_it(hub_cache):
    with pytest.raises(InputError, match=r"'model.safetensors' of 'OpenGVLab/ViCLIP-B-16-hf'"):
        load_backbone(VICLIP, device="cpu")


def test_the_list_has_every_readable_model_of_open_clip_and_where_open_clip_gets_it():
    expected = {}
    for architecture, tag in open_clip.list_pretrained():
        if why_unreadable(open_clip.get_model_config(architecture)) is None:
            hub = open_clip.get_pretrained_cfg(architecture, tag)["hf_hub"]
            expected[f"{architecture}/{tag}"] = hub.rpartition("/")
    listed = {name: row for name, row in hub_weights().items() if not name.startswith("ViCLIP")}
    assert listed.keys() == expected.keys()
    for name, (repository, _, file) in expected.items():
        assert listed[name].repository == repository
        assert listed[name].files[-1] == (file or OPEN_CLIP_FILES[-1])
        assert 50 < listed[name].megabytes < 16_000


def test_sizes_are_those_of_the_parameters_in_full_precision():
    rows = {name.partition("/")[0]: row for name, row in hub_weights().items()}
    checked = 0
    for architecture, row in rows.items():
        config = open_clip.get_model_config(architecture)
        if config is None or "hf_model_name" in config["text_cfg"]:
            continue  # ViCLIP, see test_viclip; text towers that transformers would fetch
        vision = config["vision_cfg"]
        if vision.get("width", 768) > 768 or "timm_model_name" in vision:
            continue  # slow to build even without memory
        with torch.device("meta"):
            model = build_model(config)
        size = 4e-6 * sum(parameter.numel() for parameter in model.parameters())
        assert row.megabytes == pytest.approx(size, rel=0.02), architecture
        checked += 1
    assert checked >= 4


def test_models_are_listed_without_network_and_torch(hub_cache, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
    names = [model.name for model in list_models()]
    assert names[:2] == ["demo", "demo-viclip"]
    advised = [model.advice is not None for model in list_models()]
    assert advised == sorted(advised, reverse=True) and 4 < sum(advised) < 10
    program = (
        "import sys; from backend.cli import main; sys.argv = ['videogem', 'models', '--all'];\n"
        "try: main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "assert not {'torch', 'open_clip'} & sys.modules.keys()"
    )
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert "OpenGVLab" not in listed.stdout and "ViCLIP-L-14/internvid-10m-flt" in listed.stdout


def found(size=598e6, file="model.safetensors", gated=False, licence=None):
    """A repository as the hub's client describes it."""
    return ModelInfo(
        id="org/name",
        siblings=[{"rfilename": file, "size": size}],
        gated=gated,
        cardData={"license": licence},
    )


def test_hub_check_says_what_differs():
    row = hub_weights()[VICLIP]
    assert list(differences(row, found())) == []
    (line,) = differences(row, found(file="x.pth"))
    assert line == "none of model.safetensors is there; there are: x.pth"
    assert list(differences(row, found(size=1e9))) == ["megabytes: 1000, the list says 598"]
    assert list(differences(row, found(gated="auto"))) == ["gated: True, the list says False"]
    assert list(differences(row, found(licence="mit"))) == ["licence: mit, the list says None"]


def test_hub_check_goes_on_after_a_repository_that_is_gone():
    def ask(repository):
        if repository == "OpenGVLab/ViCLIP-B-16-hf":
            raise OSError("gone")
        row = next(row for row in hub_weights().values() if row.repository == repository)
        return found(row.megabytes * 1e6, row.files[0], row.gated, row.licence)

    lines = check(ask)
    assert lines == [f"{VICLIP}: OpenGVLab/ViCLIP-B-16-hf: gone"]
