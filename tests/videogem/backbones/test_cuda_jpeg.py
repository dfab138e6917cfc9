"""JPEG decoded on a GPU: which files go there, what comes back, and who says what is wrong."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from videogem.backbones import cuda_jpeg
from videogem.backbones.versions import planned_version
from videogem.errors import InputError
from videogem.grounding import load_grounder
from videogem.media.stills import EncodedClip
from videogem.media.video import VideoReadError, read_clip
from videogem.structures import Clip

CPU = torch.device("cpu")


def picture(seed, width=40, height=24):
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(
        np.uint8
    )


def encoded_clip(image, cut=0, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", **options)
    clip = read_clip(io.BytesIO(buffer.getvalue()[: len(buffer.getvalue()) - cut]), encoded=True)
    assert isinstance(clip, EncodedClip)
    return clip


@pytest.fixture
def sent(monkeypatch):
    """Files that went to the device, which is the CPU here."""
    files = []

    def decode(data, device):
        files.extend(data)
        assert device == CPU
        images = [np.array(Image.open(io.BytesIO(one)).convert("RGB")) for one in data]
        return [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in images]

    monkeypatch.setattr(cuda_jpeg, "decode", decode)
    return files


def pixels_of(frame):
    return frame.permute(1, 2, 0).numpy() if isinstance(frame, torch.Tensor) else frame


def test_usual_files_go_to_the_device_in_one_batch_and_others_do_not(sent):
    usual = [encoded_clip(picture(seed)) for seed in range(3)]
    grey = encoded_clip(picture(3)[..., 0])
    decoded = Clip.from_image(picture(4))
    clips = [usual[0], decoded, usual[1], grey, usual[2]]
    found = cuda_jpeg.frames_of(clips, CPU)
    assert sent == [clip.data for clip in usual]
    assert [isinstance(frame, torch.Tensor) for frame in found] == [True, False, True, False, True]
    for frame, clip in zip(found, clips, strict=True):
        np.testing.assert_array_equal(pixels_of(frame), clip.target_frame)


def test_a_file_without_its_end_is_told_and_not_filled_up(sent):
    cut = encoded_clip(picture(0), cut=40)
    with pytest.raises(VideoReadError, match="damaged"):
        cuda_jpeg.frames_of([encoded_clip(picture(1)), cut], CPU)
    assert cut.data not in sent


def test_what_the_device_cannot_decode_is_decoded_by_the_cpu(monkeypatch):
    monkeypatch.setattr(cuda_jpeg, "decode", lambda *_: None)
    clips = [encoded_clip(picture(seed)) for seed in range(2)]
    found = cuda_jpeg.frames_of(clips, CPU)
    for frame, clip in zip(found, clips, strict=True):
        np.testing.assert_array_equal(frame, clip.target_frame)


@pytest.mark.skipif(torch.cuda.is_available(), reason="here it can be done")
def test_without_a_gpu_it_is_refused_in_words():
    with pytest.raises(InputError, match="NVIDIA"):
        load_grounder("demo", device="cpu", jpeg="gpu")


def test_it_is_part_of_the_version():
    assert "+nvjpeg/" in planned_version("demo", jpeg="gpu")
    assert planned_version("demo", jpeg="cpu") == planned_version("demo")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="nvJPEG needs CUDA")
def test_on_a_gpu_points_stay_where_they_are():
    clips = [encoded_clip(picture(seed, 320, 240), quality=90) for seed in range(8)]
    plain = [Clip.from_image(clip.target_frame) for clip in clips]
    device = load_grounder("demo", device="cuda", jpeg="gpu")
    assert device.takes_encoded
    sentences = [["cut the tomato"]] * 8
    moved = [
        np.hypot(a[0].point[0] - b[0].point[0], a[0].point[1] - b[0].point[1])
        for a, b in zip(
            device.ground_batch(clips, sentences),
            load_grounder("demo", device="cuda").ground_batch(plain, sentences),
            strict=True,
        )
    ]
    assert np.median(moved) < 0.01
