"""TextArea: what was grounded; with perRegion on a video, the sentence of each region."""

from backend.labeling.forms import ControlForm
from backend.labeling.regions import Found, Region, plain_region
from backend.labeling.targets import Control


def _write(found: Found, control: Control) -> list[Region]:
    prompts = found.grounding.prompts
    sentences = {"verb": prompts.verb, "object": prompts.object, "action": prompts.action}
    parts = control.options.get("model_prompts", ("action",))
    return [plain_region(found, control, {"text": [sentences[part] for part in parts]})]


def _write_name(region: Region, sentence: str, control: Control) -> Region:
    place = {"id": region["id"], "from_name": control.name, "to_name": control.to_name}
    return {**place, "type": control.type, "value": {"text": [sentence]}}


CONTROL = ControlForm(
    tags={"textarea": None},
    on=frozenset({"image", "video"}),
    write=_write,
    write_name=_write_name,
)
