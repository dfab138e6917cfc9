"""Subtitles and transcripts become cues, and words become verb, object and action."""
