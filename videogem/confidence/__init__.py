"""From signals to a score: the chance that a point is right, fitted to known outcomes."""
