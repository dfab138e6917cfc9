"""Pointing systems' towers: image and video encoders with their text encoders."""
