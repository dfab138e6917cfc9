"""VideoGEM: training-free grounding of narrated actions in frames and videos (CVPR 2025)."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("videogem-label-studio")  # from the tags of the sources, when installed
except PackageNotFoundError:
    __version__ = "0+unknown"
