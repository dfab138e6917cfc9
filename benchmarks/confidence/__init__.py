"""How the score is fitted on the demo world, and how well it keeps its word on held-out splits."""
