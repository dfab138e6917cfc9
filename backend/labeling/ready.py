"""The ready labeling configs that come with the project, by name."""

from importlib import resources

from videogem.errors import InputError, meant

_FOLDER = resources.files("label_config")


def ready_configs() -> dict[str, str]:
    """Every ready config as XML, by its name."""
    files = sorted(_FOLDER.iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".xml"): file.read_text(encoding="utf-8")
        for file in files
        if file.name.endswith(".xml")
    }


def ready_config(name: str) -> str:
    """One ready config as XML.

    Raises:
        InputError: there is none of this name.
    """
    configs = ready_configs()
    if name not in configs:
        raise InputError(
            f"There is no config '{name}'; there are: {', '.join(configs)}.{meant(name, configs)}"
        )
    return configs[name]


def about(config: str) -> str:
    """What a ready config is for: the comment it starts with says so after its title."""
    comment = config.partition("-->")[0].removeprefix("<!--")
    paragraph = " ".join(comment.strip().partition("\n\n")[0].split())
    return paragraph.partition(": ")[2].partition(". ")[0].rstrip(".")
