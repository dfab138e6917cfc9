"""Compare this implementation with a folder of reference numbers.

    python -m tests.golden DIR

The folder holds ``manifest.json`` (models and cases), one ``MODEL.safetensors`` per model, one
``MODEL__CASE.npz`` per case, and optionally ``preprocess.npz``, ``tokenizer.json``,
``prompts_merge.json`` and ``boxes.json``. Every array of every case is compared; one that this
script has no counterpart for is a failure, not a skip. Prints a line per case with the largest
difference; exits with 1 past a tolerance and with 2 if the folder cannot be read.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from open_clip import CLIP, SimpleTokenizer
from safetensors.torch import load_file

from tests.golden_report import Report
from videogem import metrics
from videogem.backbones.openclip import OpenCLIPBackbone, squash_bicubic
from videogem.backbones.viclip import ViCLIP, ViCLIPBackbone, ViCLIPConfig, squash_bilinear
from videogem.method import quirks
from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.heatmaps import merge_maps, min_max_normalize, peak
from videogem.method.layer_weights import dynamic_weights, layer_weights
from videogem.method.settings import MethodSettings
from videogem.method.similarity import (
    ablated_similarities,
    frame_similarities,
    patch_similarities,
    upsample,
)
from videogem.narration.prompts import Words, parse

Arrays = dict[str, np.ndarray]

INPUTS = {"image", "video", "tokens", "img_hw", "target_frame", "image_rgb_u8"}
MODES = {1: "stripe", 2: "other-stripes", 3: "stripes-average", 4: "official-eval"}
WEIGHTS = ("none", "dynamic", "static", "combined")  # order of the rows of the margins
MERGES = {"avgmap": "maps", "mulmap": "product"}
TARGET_FRAME = 4


def load_model(directory: Path, name: str, entry: dict[str, Any]) -> Backbone:
    """A backbone with the folder's weights, in the sizes the manifest gives."""
    config, text = entry["config"], entry["config"]["text"]
    state = load_file(directory / f"{name}.safetensors")
    model: torch.nn.Module
    if "viclip" in entry["kind"].lower():
        model = ViCLIP(
            ViCLIPConfig(
                embed_dim=config["embed"],
                width=config["width"],
                layers=config["layers"],
                heads=config["heads"],
                patch_size=config["patch"],
                text_width=text["width"],
                text_layers=text["layers"],
                text_heads=text["heads"],
                image_size=config["img"],
                num_frames=config["num_frames"],
                context_length=text["context_length"],
                vocab_size=text["vocab_size"],
            )
        )
        model.load_state_dict(state)
        return ViCLIPBackbone(model, _no_tokenizer, name=name)
    vision = {
        "image_size": config["img"],
        "layers": config["layers"],
        "width": config["width"],
        "head_width": config["width"] // config["heads"],
        "patch_size": config["patch"],
    }
    sizes = {key: text[key] for key in ("context_length", "vocab_size", "width", "heads", "layers")}
    model = CLIP(config["embed"], vision, sizes, quick_gelu=config["act"] == "quick_gelu")
    incompatible = model.load_state_dict(state, strict=False)
    if incompatible.unexpected_keys or set(incompatible.missing_keys) - {"logit_scale"}:
        raise ValueError(f"{name}.safetensors does not fit its manifest entry: {incompatible}")
    return OpenCLIPBackbone(model, _no_tokenizer, name=name)


def _no_tokenizer(texts: list[str]) -> torch.Tensor:
    raise AssertionError(f"the reference gives token ids, no text should be tokenised: {texts}")


def compute(backbone: Backbone, reference: Arrays) -> Arrays:
    """Everything the reference holds, by this implementation."""
    pixels = torch.from_numpy(reference["video" if "video" in reference else "image"])
    if backbone.num_frames > 1 and pixels.ndim == 4:
        pixels = pixels[:, None].repeat(1, backbone.num_frames, 1, 1, 1)
    text = F.normalize(backbone.encode_tokens(torch.from_numpy(reference["tokens"])), dim=-1)
    settings = MethodSettings()
    tokens = backbone.encode_frames(pixels, replace(settings.attention, baselines=True))
    with torch.inference_mode():
        ours = _intermediates(backbone, tokens, text, settings)
        ours |= _maps(backbone, tokens, text, settings)
        for mode, scope in MODES.items() if backbone.num_frames > 1 else ():
            scoped = replace(settings, scope=scope)
            tokens = backbone.encode_frames(pixels, scoped.attention)
            maps = _maps(backbone, tokens, text, scoped)
            maps |= {"Z_last": tokens.terms[-1, 0].numpy()}
            maps |= {f"{k}_f4": v for k, v in maps.items() if k.startswith("heat_")}
            ours |= {f"mode{mode}_{name}": value for name, value in maps.items()}
    return ours


def _intermediates(
    backbone: Backbone, tokens: ImageTokens, text: torch.Tensor, settings: MethodSettings
) -> Arrays:
    class_tokens = tokens.class_path[:, 0]
    similarities = ablated_similarities(backbone, tokens, text[None], settings.dynamic_blocks)[0]
    total = tokens.terms[:, 0].sum(dim=0)

    def weights(method: Any) -> torch.Tensor:
        return layer_weights(method, similarities, depth=settings.depth)

    tensors = {
        "text_emb": text,
        "X_in": tokens.terms[0, 0],
        "Z": tokens.terms[1:, 0],
        "Y_cls": class_tokens[1:] - class_tokens[:-1],
        "x_cls": class_tokens[-1],
        "feat_ori_cls": backbone.project(class_tokens[-1]),
        "feat_none": backbone.project(total),
        "s": similarities,
        "w_d": dynamic_weights(similarities),
        "w_static": weights("static")[0],
        "w_dyn_full": weights("dynamic"),
        "w_comb": weights("combined"),
        "label_probs": (100 * frame_similarities(backbone, tokens, text[None])[0]).softmax(dim=0),
    }
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _maps(
    backbone: Backbone, tokens: ImageTokens, text: torch.Tensor, settings: MethodSettings
) -> Arrays:
    """Similarities, heatmaps and points for every weighting, in the authors' integer pixels."""
    ours: Arrays = {}
    rows, columns, frames = tokens.grid
    size_hw = rows * backbone.patch_size, columns * backbone.patch_size
    target = TARGET_FRAME if frames > 1 else 0

    def heatmaps(similarities: torch.Tensor, frame: int) -> np.ndarray:
        return min_max_normalize(upsample(similarities[..., frame], size_hw).numpy())

    for weights in WEIGHTS:
        similarities = patch_similarities(
            backbone, tokens, text[None], replace(settings, weights=weights)
        )[0]
        by_frame = similarities.movedim(-1, 1) if frames > 1 else similarities[..., 0]
        ours[f"sim_{weights}"] = by_frame.numpy()
        heat = heatmaps(similarities, target)
        ours[f"heat_{weights}"] = heat
        pixels = np.array([_pixel(h) for h in heat])
        ours[f"argmax_{weights}"] = pixels
        ours[f"point_{weights}_avgpos"] = authors_average(pixels)
        for name, merge in MERGES.items():
            ours[f"point_{weights}_{name}"] = _pixel(merge_maps(heat, (0.2, 0.2, 0.6), merge))
        if weights == "combined" and frames > 1:
            every = np.stack([heatmaps(similarities, f) for f in range(frames)], axis=1)
            ours["heat_combined_allframes"] = every
            ours["argmax_combined_allframes"] = np.array([[_pixel(h) for h in p] for p in every])
    if frames == 1:
        gem = patch_similarities(backbone, tokens, text[None], replace(settings, method="gem6"))[0]
        ours["sim_gem_orig"], ours["heat_gem_orig"] = gem[..., 0].numpy(), heatmaps(gem, 0)
    return ours


def _pixel(heatmap: np.ndarray) -> np.ndarray:
    height, width = heatmap.shape
    x, y = peak(heatmap)
    return np.array([int(x * width), int(y * height)])


def authors_average(pixels: np.ndarray) -> np.ndarray:
    """The authors' merge of integer points: truncated weighted mean, weights 1, 1, 3."""
    return (np.array([[1], [1], [3]]) * pixels).sum(axis=0) // 5


def check_case(backbone: Backbone, case: str, reference: Arrays) -> Report:
    """Compare every array of a case."""
    report = Report(case)
    ours = compute(backbone, reference)
    for name in sorted(reference.keys() - INPUTS):
        if "margin_" in name:
            continue  # says where points may be compared; used below
        if name not in ours:
            report.failures.append(f"{name}: nothing to compare it with")
        elif "argmax_" in name or "point_" in name:
            leads = _leads(name, reference)
            if leads is None:
                report.failures.append(f"{name}: no margin says where it can be compared")
            else:
                report.compare_points(name, ours[name], reference[name], leads)
        else:
            report.compare(name, ours[name], reference[name])
    return report


def _leads(name: str, reference: Arrays) -> np.ndarray | None:
    """By how much the best pixel leads, for each point of an array of points."""
    mode = match[0] if (match := re.match(r"mode\d_", name)) else ""
    if name.endswith("_allframes"):
        heat = reference.get("heat_combined_allframes")
        if heat is None:
            return None
        top = np.sort(heat.reshape(*heat.shape[:2], -1), axis=-1)[..., -2:]
        return top[..., 1] - top[..., 0]
    row = WEIGHTS.index(name.removeprefix(mode).split("_")[1])
    pixel = reference.get(f"{mode}margin_pixel")
    merged = reference.get(f"{mode}margin_pixel_merge")
    if name.endswith("_avgmap") or name.endswith("_mulmap"):
        return None if merged is None else merged[row, list(MERGES).index(name.split("_")[-1])]
    if pixel is None:
        return None
    return pixel[row].min(keepdims=True) if name.endswith("_avgpos") else pixel[row]


def check_preprocess(directory: Path) -> Report:
    """The network inputs of one image, for both kinds of tower."""
    report = Report("preprocess")
    reference = dict(np.load(directory / "preprocess.npz"))
    image = reference["image_rgb_u8"]
    ours = {
        "viclip_224": squash_bilinear(image[None], 224)[0].numpy(),
        "gem_112": squash_bicubic([image], 112)[0].numpy(),
        "gem_448_center": squash_bicubic([image], 448)[0, :, 192:256, 192:256].numpy(),
    }
    for name in sorted(reference.keys() - INPUTS):
        if name in ours:
            report.compare(name, ours[name], reference[name])
        else:
            report.failures.append(f"{name}: nothing to compare it with")
    return report


def check_tokenizer(directory: Path) -> Report:
    """Token ids for both context lengths."""
    report = Report("tokenizer")
    reference = json.loads((directory / "tokenizer.json").read_text())
    for name, length in (("clip77", 77), ("viclip32", 32)):
        ids = SimpleTokenizer(context_length=length)(reference["texts"])
        report.check(name, equal=ids.tolist() == reference[name])
    return report


def check_prompts(directory: Path) -> Report:
    """Prompt texts of every label style; selection and merge where maps are given."""
    report = Report("prompts_merge")
    styles: dict[int, Any] = {1: "label", 2: "camel"}
    for item in json.loads((directory / "prompts_merge.json").read_text()):
        label = item["label"]
        if item["prompt_mode"] == 5:
            words = Words(tuple(item["verbs"]), tuple(item["nouns"]), label)
        else:
            words = parse(label, style=styles[item["prompt_mode"]])
        texts = [*words.verb_prompts, *words.object_prompts, words.action_prompt]
        report.check(f"{label}: texts", equal=texts == item["texts"])
        if "heatmaps" not in item:
            continue
        num_verbs, num_objects = len(words.verb_prompts), len(words.object_prompts)
        verb = int(np.argmax(item["sims"][:num_verbs]))
        object_ = int(np.argmax(item["sims"][num_verbs : num_verbs + num_objects]))
        chosen = np.array(item["heatmaps"])[[verb, num_verbs + object_, -1]]
        pixels = np.array([_pixel(h) for h in chosen])
        report.check(
            f"{label}: points", equal=pixels.tolist() == [*map(list, item["points_verb_obj_act"])]
        )
        report.check(f"{label}: avgpos", equal=authors_average(pixels).tolist() == item["avgpos"])
        for name, merge in MERGES.items():
            merged = _pixel(merge_maps(chosen, (0.2, 0.2, 0.6), merge))
            report.check(f"{label}: {name}", equal=merged.tolist() == item[name])
    return report


def check_boxes(directory: Path) -> Report:
    """The authors' box rounding and hit test."""
    report = Report("boxes")
    for index, item in enumerate(json.loads((directory / "boxes.json").read_text())):
        box, size = item["box_xyxy"], tuple(item["size_wh"])
        grid = quirks.grid_box(box, size)
        report.check(f"{index}: box224", equal=list(grid) == item["box224"])
        youcook = quirks.grid_box(box, metrics.youcook_canvas(size))
        report.check(f"{index}: youcook", equal=list(youcook) == item["box224_youcook_unfiltered"])
        hits = [metrics.hit(point, [item["box224"]]) for point in item["points"]]
        report.check(f"{index}: hits", equal=hits == item["hit"])
    return report


EXTRAS: dict[str, Callable[[Path], Report]] = {
    "preprocess.npz": check_preprocess,
    "tokenizer.json": check_tokenizer,
    "prompts_merge.json": check_prompts,
    "boxes.json": check_boxes,
}


def check_directory(directory: Path) -> Iterator[Report]:
    """A report per case of the manifest, then one per extra file that is there."""
    manifest = json.loads((directory / "manifest.json").read_text())
    for name, entry in manifest.items():
        backbone = load_model(directory, name, entry)
        for case in entry["cases"]:
            reference = dict(np.load(directory / f"{name}__{case}.npz"))
            yield check_case(backbone, f"{name}/{case}", reference)
    for file, check in EXTRAS.items():
        if (directory / file).exists():
            yield check(directory)


def main(arguments: list[str]) -> int:
    """Check a folder, print a line per case."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tests.golden DIR\n")
        return 2
    failed = 0
    try:
        for report in check_directory(Path(arguments[0])):
            sys.stdout.write(f"{report}\n")
            failed += bool(report.failures)
    except (OSError, json.JSONDecodeError, KeyError, ValueError) as error:
        sys.stderr.write(f"{arguments[0]} is no folder of reference numbers: {error!r}\n")
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
