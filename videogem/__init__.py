"""VideoGEM: training-free grounding of narrated actions in frames and videos (CVPR 2025)."""

__version__ = "0.1.0"
