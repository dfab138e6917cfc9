"""Scripts that made the demo models and packed the art; not in the wheel."""
