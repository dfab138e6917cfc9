"""Whether a model can be had under its name, said before anything is loaded (and without torch)."""

from videogem.backbones.manifest import hub_weights
from videogem.backbones.names import CONFIG_FILES, did_you_mean, parse_model_name
from videogem.errors import InputError


def check_model(name: str) -> None:
    """Refuse a name that `load_backbone` would refuse after seconds of imports.

    Weights of another repository (``hf-hub:``) and what a file holds are seen when it is loaded.

    Raises:
        InputError: unknown, or its file is not there; names that are alike are told.
    """
    parsed = parse_model_name(name)
    if parsed.path is not None and not parsed.path.is_file():
        raise InputError(f"There is no weights file '{parsed.path}'; check the path.")
    if parsed.path is not None and parsed.architecture is None:
        if not any((parsed.path.parent / file).is_file() for file in CONFIG_FILES):
            raise InputError(
                f"'{parsed.path}' needs its open_clip model config beside it as "
                f"'{CONFIG_FILES[1]}' or '{CONFIG_FILES[0]}', or give the architecture: "
                f"'ViT-B-16:{parsed.path}'."
            )
    elif parsed.tag is not None and name not in hub_weights():
        raise InputError(
            f"There are no weights '{name}' on the hub that can be read here.{did_you_mean(name)} "
            f"`videogem models --all` lists all, docs/models.md says which towers are not read "
            f"(ResNets, SigLIP, CLIPA, PE); for a local file give "
            f"'{parsed.architecture}:/path/to/weights.safetensors'."
        )
