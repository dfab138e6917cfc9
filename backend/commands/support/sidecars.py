"""The subtitles that lie beside a video."""

from pathlib import Path

SIDECARS = (
    ".srt", ".vtt", ".sbv", ".lrc", ".ass", ".ssa", ".ttml", ".dfxp", ".srv3", ".srv2", ".srv1",
    ".json3", ".smi", ".eaf", ".json", ".csv", ".tsv", ".txt",
)  # fmt: skip


def sidecar_of(video: Path) -> Path | None:
    """The file of a video's name with the first of these endings."""
    beside = (video.with_suffix(suffix) for suffix in SIDECARS)
    return next((path for path in beside if path.is_file()), None)
