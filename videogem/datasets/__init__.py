"""Readers of published dataset formats, one generic reader, and the synthetic demo world."""
