"""Which models can be asked for by name, and whether their weights are on this machine."""

from collections.abc import Iterator

import open_clip

from videogem.backbones.hub import cached, open_clip_files
from videogem.backbones.names import SHIPPED, VICLIP_FILES, VICLIP_REPOSITORY


def list_models() -> Iterator[tuple[str, bool]]:
    """Names that `load_backbone` takes, and whether their weights are here already."""
    for name, path in SHIPPED.items():
        if path.exists():
            yield name, True
    for (architecture, tag), file in VICLIP_FILES.items():
        yield f"{architecture}/{tag}", cached(VICLIP_REPOSITORY, [file]) is not None
    for architecture, tag in open_clip.list_pretrained():
        if _has_class_token(architecture):
            repository, files = open_clip_files(architecture, tag)
            yield f"{architecture}/{tag}", cached(repository, files) is not None


def _has_class_token(architecture: str) -> bool:
    """Whether a tower is open_clip's own transformer, pooled at its class token."""
    vision = (open_clip.get_model_config(architecture) or {}).get("vision_cfg", {})
    return (
        isinstance(vision.get("layers"), int)
        and "timm_model_name" not in vision
        and vision.get("pool_type", "tok") == "tok"
        and not vision.get("attentional_pool", False)
        and not vision.get("final_ln_after_pool", False)
    )
