"""What a kind of control is, and which kinds there are: one module of `controls` each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from backend.labeling import controls
from backend.labeling.labels import Similarity, choose_labels
from backend.labeling.regions import Found, Region, Track
from backend.labeling.shapes import Shape, ShapeKind
from backend.labeling.targets import Control
from videogem.modules import modules_of
from videogem.structures import Grounding

Stage = Literal["image", "video"]


@dataclass(frozen=True)
class ControlForm:
    """One kind of control.

    ``write`` is for one frame and ``write_track`` for a narrated moment of a video; a control that
    has only ``write`` and works on a video is written from the moment's best frame.
    """

    tags: Mapping[str, str | None]  # in lower case -> the children that are its labels
    on: frozenset[Stage]
    write: Callable[[Found, Control], list[Region]] | None = None
    write_track: Callable[[Track, Control], list[Region]] | None = None
    # A region of a video, its sentence, and a control with perRegion -> the sentence under it.
    write_name: Callable[[Region, str, Control], Region] | None = None
    shape: ShapeKind | None = None  # what its regions are read as; None where they have no place
    # The value of a region, and width and height in pixels -> its place; None if it is malformed.
    read: Callable[[Mapping[str, Any], tuple[float, float]], Shape | None] | None = None
    # What the frame is compared with where words leave it open.
    choose: Callable[[Control, Grounding, Similarity | None], Any] = field(default=choose_labels)

    @property
    def fills(self) -> bool:
        """Whether regions are written for it; others are only read where people drew them."""
        return self.write is not None or self.write_track is not None

    @property
    def has_place(self) -> bool:
        """Whether its regions are somewhere in the frame."""
        return self.read is not None


@cache
def control_forms() -> Mapping[str, ControlForm]:
    """Every kind of control by its name.

    Raises:
        RuntimeError: two modules fill the same tag.
    """
    forms: dict[str, ControlForm] = {}
    taken: dict[str, str] = {}
    for module in modules_of(controls):
        kind = module.__name__.rpartition(".")[2]
        forms[kind] = module.CONTROL
        for tag in forms[kind].tags:
            if tag in taken:
                raise RuntimeError(f"the tag {tag} is filled by controls {taken[tag]} and {kind}")
            taken[tag] = kind
    return forms


@cache
def kinds_by_tag() -> Mapping[str, str]:
    """A tag in lower case, which is also the type of its regions -> its kind of control."""
    return {tag: kind for kind, form in control_forms().items() for tag in form.tags}


def form_of_type(type_: str) -> ControlForm | None:
    """The control whose regions have this type; None where no such one can be filled."""
    kind = kinds_by_tag().get(type_.lower())
    return None if kind is None else control_forms()[kind]


def types_of(*shapes: ShapeKind) -> frozenset[str]:
    """The types of regions that are read as one of these shapes."""
    return frozenset(
        tag for form in control_forms().values() if form.shape in shapes for tag in form.tags
    )
