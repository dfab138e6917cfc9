"""Labeling configs become targets, and groundings become regions; no network, no model."""
