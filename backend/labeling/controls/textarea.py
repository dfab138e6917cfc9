"""TextArea: the sentences that were grounded."""

from backend.labeling.forms import ControlForm
from backend.labeling.regions import Found, Region, plain_region
from backend.labeling.targets import Control


def _write(found: Found, control: Control) -> list[Region]:
    prompts = found.grounding.prompts
    sentences = {"verb": prompts.verb, "object": prompts.object, "action": prompts.action}
    parts = control.options.get("model_prompts", ("action",))
    return [plain_region(found, control, {"text": [sentences[part] for part in parts]})]


CONTROL = ControlForm(tags={"textarea": None}, on=frozenset({"image", "video"}), write=_write)
