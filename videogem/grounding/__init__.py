"""The method from top to bottom: clips and narrations in, points and boxes out."""

from videogem.grounding.loading import load_grounder
from videogem.grounding.pipeline import VideoGEM

__all__ = ["VideoGEM", "load_grounder"]
