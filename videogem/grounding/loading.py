"""A grounder by the name of its model."""

from typing import Any

from videogem.backbones.versions import planned_version
from videogem.backbones.zoo import decode_on_device, load_backbone
from videogem.confidence.model import Scoring
from videogem.confidence.shipped import shipped_scoring
from videogem.grounding.pipeline import VideoGEM
from videogem.method.settings import Dtype, JpegDecoder, method_settings


def load_grounder(
    model: str = "demo",
    method: str = "videogem",
    *,
    device: str = "auto",
    image_size: int | None = None,
    dtype: Dtype = "fp32",
    compiled: bool = False,
    jpeg: JpegDecoder = "cpu",
    scoring: Scoring | None = None,
    **settings: Any,
) -> VideoGEM:
    """A grounder by model name (see `videogem.backbones.names`) and method, other settings by name.

    With ``compiled`` the image tower is compiled in the background, see `VideoGEM.compile_soon`.
    ``jpeg`` is who decodes `EncodedClip`. Without ``scoring`` the shipped fit makes the scores,
    where one holds for this model and these settings.

    Raises:
        InputError: unknown model or method, missing weights, or a setting out of its range; or this
            model has no GPU here to decode on.
    """
    backbone = load_backbone(model, device=device, image_size=image_size, dtype=dtype)
    version = planned_version(
        model,
        method,
        image_size=image_size,
        dtype=dtype,
        compiled=compiled,
        jpeg=jpeg,
        scoring=scoring,
        **settings,
    )
    chosen = method_settings(method, **settings)
    scoring = scoring or shipped_scoring(model, chosen, image_size)
    if jpeg == "gpu":
        decode_on_device(backbone)
    grounder = VideoGEM(backbone, chosen, version=version, scoring=scoring)
    if compiled:
        grounder.compile_soon()
    return grounder
