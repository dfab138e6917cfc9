"""How well does the audit list find mistakes? Demo world, mistakes put in on purpose.

    python -m benchmarks.seeded_mistakes [--scenes 200] [--seed 0] [--json]

Scenes of three actors the model has never seen together are grounded by the shipped demo model and
"annotated" by ten annotators who draw the true box with a little noise. Then, for one reason at a
time, every tenth annotation gets a mistake of that kind, and the list is compared with what was put
in: precision and recall of the reason, and false alarms of all other reasons on top of those that
the clean annotations raise. Mistakes are drawn without looking at the audit's thresholds.
Jumps and stale boxes are put into the tracks of the demo clips, two frames a second.
"""

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backend.qa.audit import find_suspects
from backend.qa.audit_items import Item
from backend.qa.figures import share
from videogem.demo_world.splits import CLIPS_DIRECTORY, DemoItem, demo_scenes
from videogem.structures import Box, Clip

SIZE = (640.0, 480.0)
ANNOTATORS = 10
FRACTION = 0.1
Mistake = Callable[[Item, Sequence[Item], random.Random], Item]


def annotated_scenes(num_scenes: int, seed: int) -> list[Item]:
    """Clean annotations of generated scenes, with what the demo model predicted."""
    import torch

    from videogem.grounding import load_grounder

    torch.set_num_threads(1)
    grounder = load_grounder("demo")
    rng = random.Random(seed)
    scenes: dict[str, list[DemoItem]] = defaultdict(list)
    for actor in demo_scenes("unseen-pairs", num_scenes=num_scenes, seed=seed):
        scenes[actor.scene].append(actor)
    items = []
    for actors in scenes.values():
        clip = Clip.from_image(actors[0].image)
        groundings = grounder.ground(clip, [actor.narration for actor in actors])
        for actor, found in zip(actors, groundings, strict=True):
            point = (found.point[0] * SIZE[0], found.point[1] * SIZE[1])
            items.append(
                Item(
                    id=actor.id,
                    boxes=(hand(pixels(actor.box), rng),),
                    size_wh=SIZE,
                    annotator=str(rng.randrange(ANNOTATORS)),
                    label=actor.narration,
                    predicted_label=actor.narration,
                    point=point,
                    predicted_box=pixels(found.box),
                    score=found.score,
                    accepted=False,
                    lead_time=rng.lognormvariate(math.log(8), 0.5),
                    task=actor.id,
                )
            )
    return items


def annotated_tracks(seed: int) -> list[Item]:
    """Clean annotations of the demo clips' actors, two frames a second."""
    rng = random.Random(seed)
    items = []
    for path in sorted(Path(CLIPS_DIRECTORY).glob("*.json")):
        truth = json.loads(path.read_text())
        for number, pair in enumerate(truth["pairs"]):
            step = round(truth["fps"] / 2)
            for frame in range(0, truth["num_frames"], step):
                box = pair["boxes"][frame]
                if box is None:
                    continue
                items.append(
                    Item(
                        id=f"{path.stem}-{number}-{frame}",
                        boxes=(hand(tuple(box), rng, tuple(truth["size"])),),
                        size_wh=tuple(truth["size"]),
                        track=path.stem,
                        label=pair["label"],
                        time=frame / truth["fps"],
                        task=f"{path.stem}-{number}-{frame}",
                    )
                )
    return items


def pixels(box: Box) -> Box:
    return box[0] * SIZE[0], box[1] * SIZE[1], box[2] * SIZE[0], box[3] * SIZE[1]


def hand(box: Box, rng: random.Random, size: tuple[float, float] = SIZE) -> Box:
    """A careful person's box: each side off by about 3 % of the box, inside the frame."""
    w, h = box[2] - box[0], box[3] - box[1]
    x1, x2 = (min(max(x + rng.gauss(0, 0.03 * w), 0.0), size[0]) for x in (box[0], box[2]))
    y1, y2 = (min(max(y + rng.gauss(0, 0.03 * h), 0.0), size[1]) for y in (box[1], box[3]))
    return x1, y1, x2, y2


def elsewhere(item: Item, rng: random.Random) -> Box:
    """The box somewhere else in the frame, anywhere that it does not touch the true one."""
    x1, y1, x2, y2 = item.boxes[0]
    w, h = x2 - x1, y2 - y1
    for _ in range(200):
        x, y = rng.uniform(0, item.size_wh[0] - w), rng.uniform(0, item.size_wh[1] - h)
        if x > x2 or x + w < x1 or y > y2 or y + h < y1:
            break
    return x, y, x + w, y + h


def other_actor(item: Item, items: Sequence[Item], rng: random.Random) -> Box:
    """The box of another actor of the scene: the commonest real mistake."""
    scene = item.id.rpartition("-")[0]
    return rng.choice([i.boxes[0] for i in items if i.id.startswith(scene + "-") and i is not item])


def flat(item: Item, _: Sequence[Item], rng: random.Random) -> Item:
    x1, y1, x2, y2 = item.boxes[0]
    return replace(item, boxes=((x1, y1, x1, y2) if rng.random() < 0.5 else (x1, y1, x2, y1),))


def outside(item: Item, _: Sequence[Item], rng: random.Random) -> Item:
    x1, y1, x2, y2 = item.boxes[0]
    w = x2 - x1
    over = rng.uniform(0.05, 0.5)
    x = rng.choice([-over * w, item.size_wh[0] - (1 - over) * w])
    return replace(item, boxes=((x, y1, x + w, y2),))


def clipped(item: Item, _: Sequence[Item], rng: random.Random) -> Item:
    """Width and height swapped when clipping, as in released GroundingYouTube boxes."""
    x1, y1, _, y2 = item.boxes[0]
    limit = item.size_wh[1]
    return replace(item, boxes=((min(x1, limit - rng.uniform(10, 60)), y1, limit, y2),))


def whole(item: Item, _: Sequence[Item], rng: random.Random) -> Item:
    (w, h), edge = item.size_wh, lambda: rng.uniform(0, 0.03)
    return replace(item, boxes=((edge() * w, edge() * h, w - edge() * w, h - edge() * h),))


def click(item: Item, _: Sequence[Item], rng: random.Random) -> Item:
    x1, y1, _, _ = item.boxes[0]
    return replace(item, boxes=((x1, y1, x1 + rng.uniform(1, 12), y1 + rng.uniform(1, 12)),))


def stale(item: Item, items: Sequence[Item], _: random.Random) -> Item:
    return replace(item, boxes=(items[len(items) // 2].boxes[0],))


def wrong_actor(item: Item, items: Sequence[Item], rng: random.Random) -> Item:
    return replace(item, boxes=(other_actor(item, items, rng),))


def displaced(item: Item, _: Sequence[Item], rng: random.Random) -> Item:
    return replace(item, boxes=(elsewhere(item, rng),))


def wrong_label(item: Item, items: Sequence[Item], rng: random.Random) -> Item:
    return replace(item, label=rng.choice([i.label for i in items if i.label != item.label]))


def hurried(item: Item, _: Sequence[Item], rng: random.Random) -> Item:
    return replace(item, lead_time=rng.uniform(0.2, 1.5))


KINDS: dict[str, Mistake] = {
    "zero-area": flat,
    "out-of-canvas": outside,
    "edge-clipped": clipped,
    "whole-frame": whole,
    "tiny": click,
    "identical-boxes": stale,
    "confident-miss": wrong_actor,
    "far-outside": displaced,
    "label-mismatch": wrong_label,
    "track-jump": displaced,
    "annotator-disagreement": wrong_actor,
    "always-accepts": lambda item, *_: item,  # see with_lazy_annotator
    "short-time": hurried,
    "emptied": lambda item, *_: replace(item, boxes=(), emptied=2),
}


def with_mistakes(reason: str, items: Sequence[Item], seed: int) -> tuple[list[Item], set[str]]:
    """Items with one kind of mistake in a tenth of them, and the ids of those."""
    rng = random.Random(seed)
    if reason == "always-accepts":
        return with_lazy_annotator(items)
    chosen = set(rng.sample(range(len(items)), round(FRACTION * len(items))))
    made = [KINDS[reason](item, items, rng) if k in chosen else item
            for k, item in enumerate(items)]  # fmt: skip
    if reason == "annotator-disagreement":  # every frame has a second, careful annotator
        second = [
            replace(i, id=f"{i.id} second", annotator=f"second {i.annotator}",
                    boxes=(hand(i.boxes[0], rng),))
            for i in items
        ]  # fmt: skip
        made += second
    return made, {items[k].id for k in chosen}


def with_lazy_annotator(items: Sequence[Item]) -> tuple[list[Item], set[str]]:
    """Annotator 0 (a tenth of all) accepts everything; the others what is nearly right."""
    made = []
    for item in items:
        if item.predicted_box is not None and (item.annotator == "0" or _close(item)):
            item = replace(item, boxes=(item.predicted_box,), accepted=True)
        made.append(item)
    return made, {item.id for item in items if item.annotator == "0"}


def _close(item: Item) -> bool:
    from videogem.metrics import box_iou

    return item.predicted_box is not None and box_iou(item.predicted_box, item.boxes[0]) > 0.8


def measure(reason: str, items: Sequence[Item], seed: int) -> dict[str, object]:
    """Precision and recall of one reason, and what the mistakes set off besides."""
    made, seeded = with_mistakes(reason, items, seed)
    suspects = find_suspects(made)
    found = {s.id.removesuffix(" second") for s in suspects if s.reason == reason}
    if reason == "annotator-disagreement":
        found = {s.id for s in suspects if s.reason == reason and not s.id.endswith(" second")}
    any_reason = {s.id.removesuffix(" second") for s in suspects} & seeded
    first = list(dict.fromkeys(s.id.removesuffix(" second") for s in suspects))[: len(seeded)]
    return {
        "reason": reason,
        "annotations": len(made),
        "mistakes": len(seeded),
        "listed": len(found),
        "precision": share(len(found & seeded), len(found)),
        "recall": share(len(found & seeded), len(seeded)),
        "recall_any_reason": share(len(any_reason), len(seeded)),
        "precision_at_mistakes": share(len(set(first) & seeded), len(first)),
    }


def main(
    scenes: Annotated[int, typer.Option()] = 200,
    seed: Annotated[int, typer.Option()] = 0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Measure every reason and print a table."""
    frames, tracks = annotated_scenes(scenes, seed), annotated_tracks(seed)
    hits = share(sum(_hit(item) for item in frames), len(frames))
    clean = Counter(s.reason for s in find_suspects(frames))
    clean_tracks = Counter(s.reason for s in find_suspects(tracks))
    rows = [
        measure(reason, tracks if reason == "track-jump" else frames, seed + 1) for reason in KINDS
    ]
    if as_json:
        typer.echo(json.dumps({"hits": hits, "clean": clean, "clean_tracks": clean_tracks,
                               "rows": rows}))  # fmt: skip
        return
    typer.echo(f"{len(frames)} annotations of {scenes} scenes, {len(tracks)} of the clips' frames.")
    typer.echo(f"The model points into {hits['hits']} of {hits['n']} true boxes.")
    typer.echo(
        f"Listed on clean annotations: {dict(clean)}; on clean tracks: {dict(clean_tracks)}."
    )
    typer.echo("| reason | mistakes | listed | precision | recall | recall, any reason |")
    typer.echo("|---|---|---|---|---|---|")
    for row in rows:
        cells = [_cell(row[name]) for name in ("precision", "recall", "recall_any_reason")]
        typer.echo(
            f"| `{row['reason']}` | {row['mistakes']} | {row['listed']} | {' | '.join(cells)} |"
        )


def _hit(item: Item) -> bool:
    from videogem.metrics import hit

    return item.point is not None and hit(item.point, item.boxes)


def _cell(figure: object) -> str:
    assert isinstance(figure, dict)
    if not figure["n"]:
        return "-"
    return f"{figure['accuracy']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    typer.run(main)
