"""From corrections to settings and a score of a project's own, with proof or not at all."""
