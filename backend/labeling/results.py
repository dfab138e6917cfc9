"""Groundings -> Label Studio regions, control by control."""

from collections.abc import Sequence

from backend.labeling.forms import ControlForm, control_forms
from backend.labeling.regions import UNSURE, Found, Region, Track, add_note
from backend.labeling.targets import Control
from videogem.errors import InputError
from videogem.structures import Grounding


def to_regions(found: Found, controls: Sequence[Control]) -> list[Region]:
    """The regions of an image's controls for one grounding."""
    regions: list[Region] = []
    for control in controls:
        write = form_of(control).write
        if write is not None and _is_wanted(found, control, found.grounding.score):
            regions += write(found, control)
    _attach_per_region(regions, controls)
    return regions


def to_video_regions(track: Track, controls: Sequence[Control]) -> list[Region]:
    """The regions of a video's controls for one narrated moment; others tell of its best frame."""
    regions: list[Region] = []
    score = track.score
    for control in controls:
        write = form_of(control).write_track
        if write is not None and _is_wanted(track.best, control, score):
            regions += [{**region, "score": score} for region in write(track, control)]
    if any(found.grounding.doubtful for found in track.keys):
        for region in regions:
            add_note(region, UNSURE)
    for region in regions:
        add_note(region, f"Said: {track.best.grounding.narration}")
    named = [each for each in controls if each.per_region and form_of(each).write_name is not None]
    still = [each for each in controls if form_of(each).write_track is None and each not in named]
    names = _names(regions, track.best.grounding.narration, named)
    return [*regions, *names, *to_regions(track.best, still)]


def _names(regions: Sequence[Region], sentence: str, controls: Sequence[Control]) -> list[Region]:
    """The sentence under each region of a moment, for Label Studio's list of regions."""
    found = []
    for control in controls:
        write = form_of(control).write_name
        if write is not None:
            by_id = {region["id"]: region for region in regions}  # a label is an entry of its own
            found += [write(region, sentence, control) for region in by_id.values()]
    return found


def form_of(control: Control) -> ControlForm:
    """What kind of control it is."""
    return control_forms()[control.kind]


def undecided_texts(controls: Sequence[Control], groundings: Sequence[Grounding]) -> list[str]:
    """The labels that only their similarity to the frame could decide between."""
    texts: dict[str, None] = {}

    def note(asked: Sequence[str]) -> list[float]:
        texts.update(dict.fromkeys(asked))
        return [0.0] * len(asked)

    for grounding in groundings:
        for control in controls:
            form_of(control).choose(control, grounding, note)
    return list(texts)


def _is_wanted(found: Found, control: Control, score: float) -> bool:
    """Sure enough, and where labels are actions: a control that has the grounded action."""
    if score < float(control.options.get("model_score_threshold", 0.0)):
        return False
    if not is_present(found.grounding, presence_threshold([control])):
        return False
    if found.labels_are != "actions" or not control.labels:
        return True
    return any(label.value == found.grounding.narration for label in control.labels)


def presence_threshold(controls: Sequence[Control]) -> float:
    """The least that any of the controls asks for."""
    return min(
        (float(each.options.get("model_presence_threshold", 0.0)) for each in controls), default=0.0
    )


def is_present(grounding: Grounding, threshold: float) -> bool:
    """Whether the frame shows the action with at least this chance.

    Raises:
        InputError: a threshold is asked for, and nothing stands behind this model's scores.
    """
    if threshold <= 0:
        return True
    if grounding.presence is None:
        raise InputError(
            "model_presence_threshold needs a model whose score is calibrated, and that of "
            f"'{grounding.model_version}' is not: take the attribute out of the labeling config."
        )
    return grounding.presence >= threshold


def _attach_per_region(regions: list[Region], controls: Sequence[Control]) -> None:
    """A TextArea or Choices with perRegion belongs to a region: it shares the first one's id."""
    drawn = next((region for region in regions if "original_width" in region), None)
    names = {control.name for control in controls if control.per_region}
    for region in regions:
        if drawn is not None and region["from_name"] in names:
            region["id"] = drawn["id"]
