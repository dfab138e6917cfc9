"""Write the demo clips: H.264 video, SRT narration and true boxes.

    python -m videogem.demo_world.clips --out DIR --seed 0

``NAME.json`` beside ``NAME.mp4`` and ``NAME.srt`` holds, in pixels of the frame:

    {"video": "NAME.mp4", "size": [w, h], "fps": 25, "num_frames": n,
     "cues": [{"start": s, "end": s, "text": "...", "pair": index into pairs}, ...],
     "pairs": [{"verb", "object", "label": "cook the dumpling", "unseen": true,
                "boxes": [[x1, y1, x2, y2] or null, one per frame],
                "person_boxes": ..., "object_boxes": ...,
                "visible": [share of the pair's box inside the frame, one per frame]}, ...]}

Frames count from 0; ``boxes`` go round person and object; all boxes are cut at the frame's edge and
null where nothing of them is visible. ``unseen`` says that no training scene shows the pair.
"""

import json
import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import typer
from jaxtyping import UInt8
from rich.progress import track

from videogem.demo_world.painter import paint, paint_room
from videogem.demo_world.scripts import SCRIPTS, Role, Script
from videogem.demo_world.sprites import Sprites, load_sprites
from videogem.demo_world.stage import (
    MovingScene,
    Outlines,
    PixelBox,
    stage_scene,
    union,
    visible_part,
)
from videogem.demo_world.vocabulary import DEMO_DIRECTORY, Vocabulary, load_vocabulary

FPS = 25
CLIPS_DIRECTORY = DEMO_DIRECTORY / "clips"
# Without its tree of macroblocks: on processors with AVX-512, x264 decides by it differently from
# run to run.
_CODEC_OPTIONS = {
    "crf": "24",
    "preset": "slow",
    "g": "50",
    "mbtree": "0",
    "movflags": "+faststart",
}
_CUE_GAP = 0.12  # seconds between one cue and the next
_NUM_LONE = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cue:
    """A line of narration and the pair it speaks of."""

    start: float
    end: float
    text: str
    pair: int


def write_clips(
    out: Annotated[Path, typer.Option(help="Folder for the clips.")] = CLIPS_DIRECTORY,
    seed: Annotated[int, typer.Option()] = 0,
    only: Annotated[str | None, typer.Option(help="Write this clip alone.")] = None,
) -> None:
    """Write every clip of `demo_scripts`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    scripts = [script for script in SCRIPTS if only in (None, script.name)]
    for script in track(scripts, description="clips"):
        size = write_clip(script, out, seed=seed + SCRIPTS.index(script))
        logger.info("%s: %.0f kB", script.name, size / 1e3)


def write_clip(script: Script, directory: Path, *, seed: int) -> int:
    """Write one clip with its narration and boxes; returns the video's size in bytes."""
    rng = np.random.default_rng(seed)
    sprites, vocabulary = load_sprites(), load_vocabulary()
    cues = time_cues(script)
    cast = [_choose_sprites(role, sprites, vocabulary, rng) for role in script.roles]
    lone = _choose_lone(script, sprites, vocabulary, rng)
    scene = stage_scene(
        cast,
        lone,
        [(cue.start, cue.end, cue.pair) for cue in cues],
        sprites,
        rng,
        size_wh=script.size_wh,
        duration=script.duration,
        pan=script.pan,
    )
    directory.mkdir(parents=True, exist_ok=True)
    video = directory / f"{script.name}.mp4"
    write_video(scene, sprites, video, rng)
    (directory / f"{script.name}.srt").write_text(to_srt(cues))
    truth = describe(script, scene, cues, sprites, vocabulary)
    (directory / f"{script.name}.json").write_text(to_json(truth))
    return video.stat().st_size


def time_cues(script: Script) -> tuple[Cue, ...]:
    """Lines one after the other over the whole clip, with a breath between them."""
    share = script.duration / len(script.lines)
    return tuple(
        Cue(round(i * share + _CUE_GAP, 2), round((i + 1) * share - _CUE_GAP, 2), text, pair)
        for i, (pair, text) in enumerate(script.lines)
    )


def write_video(scene: MovingScene, sprites: Sprites, path: Path, rng: np.random.Generator) -> None:
    """Paint and encode every frame; playable in browsers from its first bytes on."""
    width, height = scene.size_wh
    room = paint_room((width + round(scene.pan * height) + 2, height), rng)
    options = {"movflags": _CODEC_OPTIONS["movflags"]}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {k: v for k, v in _CODEC_OPTIONS.items() if k != "movflags"}
        stream.time_base = Fraction(1, FPS)
        for number in range(num_frames(scene)):
            frame = paint_frame(scene, room, sprites, number / FPS)
            packet = av.VideoFrame.from_ndarray(frame, format="rgb24")
            packet.pts = number
            container.mux(stream.encode(packet))
        container.mux(stream.encode())


def num_frames(scene: MovingScene) -> int:
    return round(scene.duration * FPS)


def paint_frame(
    scene: MovingScene, room: UInt8[np.ndarray, "H wide 3"], sprites: Sprites, time: float
) -> UInt8[np.ndarray, "H W 3"]:
    """What the camera sees; the room moves by whole pixels and parts of one between."""
    width, height = scene.size_wh
    left = scene.camera_x(time) * height
    first, share = int(left), left - int(left)
    here, next_one = room[:, first : first + width], room[:, first + 1 : first + 1 + width]
    view = (here * (1 - share) + next_one * share + 0.5).astype(np.uint8)
    return paint(view, sprites.images, scene.placements(time))


def describe(
    script: Script,
    scene: MovingScene,
    cues: tuple[Cue, ...],
    sprites: Sprites,
    vocabulary: Vocabulary,
) -> dict[str, Any]:
    """The true boxes, see the module's text for the form."""
    from videogem.demo_world.scenes import unseen_pairs

    unseen, outlines = unseen_pairs(vocabulary), Outlines(sprites)
    bases = [verb.base for verb in vocabulary.verbs]
    pairs = []
    for role, actor in zip(script.roles, scene.actors, strict=True):
        boxes: dict[str, list[PixelBox | None]] = {"person": [], "object": [], "union": []}
        visible = []
        for number in range(num_frames(scene)):
            time = number / FPS
            person, thing = (outlines.box(scene.on_frame(p, time)) for p in actor.placements(time))
            parts = {"person": person, "object": thing, "union": union(person, thing)}
            for name, box in parts.items():
                cut, share = visible_part(box, scene.size_wh)
                boxes[name].append(None if cut is None else _rounded(cut))
            visible.append(round(share, 3))
        pairs.append(
            {
                "verb": role.verb,
                "object": role.object,
                "label": f"{role.verb} the {role.object}",
                "unseen": bool(
                    unseen[bases.index(role.verb), vocabulary.objects.index(role.object)]
                ),
                "boxes": boxes["union"],
                "person_boxes": boxes["person"],
                "object_boxes": boxes["object"],
                "visible": visible,
            }
        )
    return {
        "video": f"{script.name}.mp4",
        "size": list(scene.size_wh),
        "fps": FPS,
        "num_frames": num_frames(scene),
        "cues": [
            {"start": cue.start, "end": cue.end, "text": cue.text, "pair": cue.pair} for cue in cues
        ],
        "pairs": pairs,
    }


def to_srt(cues: tuple[Cue, ...]) -> str:
    """Cues in SubRip form."""
    return "\n".join(
        f"{number}\n{_stamp(cue.start)} --> {_stamp(cue.end)}\n{cue.text}\n"
        for number, cue in enumerate(cues, start=1)
    )


def to_json(truth: dict[str, Any]) -> str:
    """One line per pair's list, so that the files stay small and can be compared."""
    text = json.dumps(truth, separators=(",", ":"))
    for key in ('"cues":', '"pairs":', '"verb":', '"boxes":', '"person_boxes":', '"object_boxes":'):
        text = text.replace(key, f"\n{key}")
    return text + "\n"


def _stamp(seconds: float) -> str:
    """A time as SubRip writes it.

    >>> _stamp(62.5)
    '00:01:02,500'
    """
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"


def _rounded(box: PixelBox) -> PixelBox:
    x1, y1, x2, y2 = (round(value, 1) for value in box)
    return x1, y1, x2, y2


def _choose_sprites(
    role: Role, sprites: Sprites, vocabulary: Vocabulary, rng: np.random.Generator
) -> tuple[int, int]:
    """A person of the role's gender, as the narration says he or she, and the object."""
    verb = [verb.base for verb in vocabulary.verbs].index(role.verb)
    people = [
        sprite
        for sprite in sprites.verb_sprites[verb]
        if role.gender in ("any", sprites.genders[sprite])
    ]
    things = sprites.object_sprites[vocabulary.objects.index(role.object)]
    return int(rng.choice(people)), int(rng.choice(things))


def _choose_lone(
    script: Script, sprites: Sprites, vocabulary: Vocabulary, rng: np.random.Generator
) -> list[int]:
    """Things that nobody in the clip acts on."""
    named = {vocabulary.objects.index(role.object) for role in script.roles}
    others = [number for number in range(len(vocabulary.objects)) if number not in named]
    chosen = rng.choice(others, size=_NUM_LONE, replace=False)
    return [int(rng.choice(sprites.object_sprites[number])) for number in chosen]


if __name__ == "__main__":
    typer.run(write_clips)
