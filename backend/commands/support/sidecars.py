"""The subtitles that lie beside a video."""

from pathlib import Path

_FIRST = ".srt"  # what most programs write last
_OTHERS_USE_IT = ".xml"  # cameras too


def sidecar_of(video: Path) -> Path | None:
    """The file of a video's name with the ending of a form of narration, SRT first."""
    beside = (video.with_suffix(suffix) for suffix in _endings())
    return next((path for path in beside if path.is_file()), None)


def _endings() -> list[str]:
    from videogem.narration.reading import narration_forms

    found = [ending for form in narration_forms().values() for ending in form.suffixes]
    found.sort(key=lambda ending: ending != _FIRST)
    return [ending for ending in found if ending != _OTHERS_USE_IT]
