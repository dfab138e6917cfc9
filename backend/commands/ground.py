"""`videogem ground`: where is the narrated action in one image, clip or folder of frames?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backend.commands.support.numbers import positive
from backend.folders import check_folder
from videogem.backbones.known import check_model
from videogem.confidence.shipped import UNCALIBRATED
from videogem.errors import InputError
from videogem.method.settings import method_settings
from videogem.structures import PROMPT_NAMES

if TYPE_CHECKING:
    from videogem.structures import Clip, Grounding


def register(app: typer.Typer) -> None:
    app.command()(ground)


def ground(
    source: Path = typer.Argument(help="An image, a video, or a folder of frames."),
    *,
    narration: str = typer.Option(help="What happens: 'now crack two eggs', 'cut tomato', …"),
    time: float | None = typer.Option(None, help="Second of the video; default: the middle."),
    model: str = typer.Option("demo", help="A name that `videogem models` lists."),
    method: str = typer.Option(
        "videogem", help="videogem, gem, gem6, clip_surgery, maskclip, clip."
    ),
    weights: str | None = typer.Option(
        None, help="none, static, dynamic or combined (the default)."
    ),
    merge: str | None = typer.Option(None, help="positions (the default), maps or product."),
    style: str = typer.Option("auto", help="How to read the text: auto, label, camel, narration."),
    paper_words: bool = typer.Option(
        False, "--paper-words", help="Cut words as the paper does, not as people write."
    ),
    image_size: int | None = typer.Option(None, help="Input side in pixels; default: the model's."),
    profile: str | None = typer.Option(
        None,
        help="Settings and score of `videogem calibrate`, or 'shipped'; default: the one in use, "
        "where it is for this model and these options.",
    ),
    stability: bool = typer.Option(
        False, "--stability", help="Also look at the mirrored frame and the frames beside it."
    ),
    step: float = typer.Option(
        0.25, callback=positive, help="Seconds between the frames a video model sees."
    ),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    dtype: str = typer.Option(
        "auto", help="auto (bfloat16 on a GPU, float32 on a CPU), float32 or bfloat16."
    ),
    out: Path | None = typer.Option(None, help="Folder for a picture of heatmaps, point and box."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Ground a narrated action in one frame: a point, a box and how far to trust them."""
    if not source.exists():
        raise InputError(f"There is no file or folder '{source}'; check the path.")
    check_model(model)
    asked: dict[str, Any] = {"words": "paper", "action": "sentence"} if paper_words else {}
    asked |= {} if weights is None else {"weights": weights}
    asked |= {} if merge is None else {"merge": merge}
    method_settings(method, label_style=style, **asked)
    if out is not None:
        check_folder(out, "--out")
    from videogem.media.video import probe, read_clip
    from videogem.narration.prompts import parse

    probe(source)
    parse(narration)  # an empty one is told before weights are loaded
    from backend.prediction.batcher import Batcher
    from backend.prediction.profiles import profile_named, settings_of
    from backend.settings import load_settings
    from videogem.backbones.numerics import resolve_dtype
    from videogem.grounding import load_grounder
    from videogem.stability import with_stability

    given = {
        "--weights": weights is not None,
        "--merge": merge is not None,
        "--paper-words": paper_words,
        "--image-size": image_size is not None,
    }
    unusual = [option for option, is_given in given.items() if is_given]
    own = profile_named(load_settings().data_dir, profile, model, method, unusual=unusual)
    grounder = load_grounder(
        model,
        method,
        device=device,
        image_size=image_size,
        dtype=resolve_dtype(dtype, device),
        label_style=style,
        **asked,
        **settings_of(own),
    )
    num_frames = max(grounder.backbone.num_frames, 3 if stability else 1)
    clip = read_clip(source, time=time, num_frames=num_frames, step=step)
    grounding = Batcher(grounder).ground(clip, [narration])[0]
    if stability:
        (grounding,) = with_stability(grounder, clip, [grounding])
    picture = None if out is None else _write_picture(out, source, clip, grounding)
    if as_json:
        typer.echo(json.dumps(grounding_json(grounding)))
    else:
        typer.echo(_summary(grounding))
        if picture is not None:
            typer.echo(f"picture    {picture}")


def grounding_json(grounding: "Grounding") -> dict[str, Any]:
    """One grounding in pixels of the source frame, as the command line prints it."""
    width, height = grounding.size_wh

    def pixels(values: tuple[float, ...]) -> list[float]:
        sides = (width, height) * (len(values) // 2)
        return [round(value * side, 2) for value, side in zip(values, sides, strict=True)]

    data = {
        "point": pixels(grounding.point),
        "box": pixels(grounding.box),
        "score": round(grounding.score, 4),
        "scoring": grounding.scoring or UNCALIBRATED,
        "components": {
            name: {"prompt": prompt, "point": pixels(grounding.points[name])}
            for name, prompt in zip(PROMPT_NAMES, grounding.prompts.texts, strict=True)
        },
        "frame_index": grounding.frame_index,
        "time": round(grounding.time, 6),
        "size": [width, height],
        "model_version": grounding.model_version,
        "method": grounding.method,
    }
    if grounding.presence is not None:
        data["presence"] = round(grounding.presence, 4)
    if grounding.signals is not None:
        data["signals"] = grounding.signals.as_dict()
    if len(grounding.window) > 1:  # a video model: which frames it saw
        data["window"] = [round(time, 6) for time in grounding.window]
    return data


def _summary(grounding: "Grounding") -> str:
    data = grounding_json(grounding)
    components = "".join(
        f"\n{name:10} {part['point']}  {part['prompt']}"
        for name, part in data["components"].items()
    )
    return (
        f"point      {data['point']}\nbox        {data['box']}\n{_scored(data)}"
        f"{components}\nframe      {data['frame_index']} at {data['time']} s, "
        f"{data['size'][0]}x{data['size'][1]} px\nmodel      {data['model_version']}"
    )


def _scored(data: dict[str, Any]) -> str:
    """The score, and what it is."""
    if data["scoring"] == UNCALIBRATED:
        return f"score      {data['score']}, {UNCALIBRATED}: it ranks, it is no probability"
    told = f"score      {data['score']}, the chance that the point is right ('{data['scoring']}')"
    if "presence" in data:
        told += f"\npresence   {data['presence']}, the chance that the frame shows the action"
    return told


def _write_picture(out: Path, source: Path, clip: "Clip", grounding: "Grounding") -> Path:
    from PIL import Image

    from videogem.evaluation.plots import grounding_picture

    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{source.stem or 'frames'}_{clip.frame_index:06d}.png"
    Image.fromarray(grounding_picture(clip.target_frame, grounding)).save(path)
    return path
