"""The generic format: lines of JSON."""

from PIL import Image

from tests.videogem.datasets.annotations import picture, write_jsonl
from videogem.datasets.media import load_clip
from videogem.datasets.registry import read_dataset
from videogem.datasets.resolve import image_size


def test_jsonl_reads_images_and_says_what_is_wrong(tmp_path):
    picture(tmp_path / "a.png", (100, 50))
    root = write_jsonl(
        tmp_path,
        {"image": "a.png", "narration": "cut tomato", "boxes": [[10, 5, 20, 50]], "label": "cut"},
        {"image": "a.png", "narration": "stir", "boxes": [[10, 5, 10, 25], [0, 0, 120, 20]]},
        {"image": "gone.png", "narration": "stir", "boxes": [[1, 1, 2, 2]]},
        {"image": "a.png", "narration": "stir", "boxes": []},
        {"image": "a.png", "narration": " ", "boxes": [[1, 1, 2, 2]]},
        {"image": "a.png", "video": "a.mp4", "narration": "x", "boxes": [[1, 1, 2, 2]]},
        "{broken",
        {"image": "a.png", "narration": "x", "boxes": [[1, 2, 3]]},
        {"image": "a.png", "narration": "x", "boxes": [[5, 5, 2, 9]], "id": "mine"},
        {"image": "a.png", "narration": "x", "boxes": [[5, 5, 7, 9]], "id": "mine"},
    )
    dataset = read_dataset("jsonl", root)
    assert [item.id for item in dataset.items] == ["1", "2", "mine"]
    assert dataset.items[0].boxes == ((0.1, 0.1, 0.2, 1.0),)
    assert dataset.items[0].label == "cut"
    assert dataset.items[1].label == "stir"
    summary = dataset.summary()
    assert summary["items"] == 10
    assert summary["dropped"] == {
        "unreadable entry": 3,
        "duplicate item": 1,
        "no frame": 1,
        "no box": 1,
        "no narration": 1,
    }
    assert summary["suspicious"] == {
        "clipped at a limit": 1,
        "zero area": 1,
        "outside the canvas": 1,
        "inverted box": 1,
    }


def test_jsonl_turns_photos_as_they_are_shown(tmp_path):
    image = Image.new("RGB", (80, 40))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert image_size(tmp_path / "turned.jpg") == (40, 80)
    write_jsonl(tmp_path, {"image": "turned.jpg", "narration": "x y", "boxes": [[0, 0, 20, 80]]})
    (item,) = read_dataset("jsonl", tmp_path).items
    assert item.boxes == ((0.0, 0.0, 0.5, 1.0),)
    assert load_clip(item).size_wh == item.size_wh


def test_jsonl_unreadable_frame(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    write_jsonl(tmp_path, {"image": "a.png", "narration": "x y", "boxes": [[0, 0, 1, 1]]})
    assert read_dataset("jsonl", tmp_path).reasons(dropped=True) == {"unreadable frame": 1}


def test_jsonl_may_name_words_and_style(tmp_path):
    picture(tmp_path / "a.png")
    row = {"image": "a.png", "narration": "CutTomato", "boxes": [[0, 0, 9, 9]]}
    told = row | {"verb": "cutting", "object": "tomato", "style": "camel"}
    root = write_jsonl(tmp_path, row, told, row | {"style": "snake"}, row | {"verb": 3})
    plain, worded = read_dataset("jsonl", root).items
    assert (plain.verb, plain.object, plain.style) == (None, None, "auto")
    assert (worded.verb, worded.object, worded.style) == ("cutting", "tomato", "camel")
    assert read_dataset("jsonl", root).reasons(dropped=True) == {"unreadable entry": 2}


def test_a_line_without_narration_says_its_words(tmp_path):
    picture(tmp_path / "a.png")
    row = {"image": "a.png", "boxes": [[0, 0, 9, 9]], "verb": "cut", "object": "tomato"}
    rows = row, row | {"narration": None}, row | {"narration": " ", "object": None}
    nothing = {"image": "a.png", "boxes": [[0, 0, 9, 9]], "narration": None}
    dataset = read_dataset("jsonl", write_jsonl(tmp_path, *rows, nothing))
    assert [item.narration for item in dataset.items] == ["cut tomato", "cut tomato", "cut"]
    assert dataset.reasons(dropped=True) == {"no narration": 1}


def test_jsonl_may_say_which_video_an_image_is_a_frame_of(tmp_path):
    """Frames of one video are alike: what does not know them takes each for a video."""
    rows = []
    for number in range(4):
        picture(tmp_path / f"{number}.png")
        row = {"image": f"{number}.png", "narration": "cut tomato", "boxes": [[0, 0, 9, 9]]}
        rows.append(row | ({"video_id": f"clip-{number // 2}"} if number else {}))
    found = read_dataset("jsonl", write_jsonl(tmp_path, *rows, rows[0] | {"video_id": 7}))
    assert [item.video for item in found.items] == ["0.png", "clip-0", "clip-1", "clip-1"]
    assert found.videos == {"clip-0", "clip-1"}
    assert found.reasons(dropped=True) == {"unreadable entry": 1}
