"""Choices: the choice that fits the narration, if one does."""

from backend.labeling.forms import ControlForm
from backend.labeling.labels import choose_choices
from backend.labeling.regions import Found, Region, plain_region
from backend.labeling.targets import Control


def _write(found: Found, control: Control) -> list[Region]:
    chosen = choose_choices(control, found.grounding, found.similarity)
    return [plain_region(found, control, {"choices": chosen})] if chosen else []


CONTROL = ControlForm(
    tags={"choices": "choice"},
    on=frozenset({"image", "video"}),
    write=_write,
    choose=choose_choices,
)
