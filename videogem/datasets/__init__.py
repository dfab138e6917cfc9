"""Readers of published dataset formats, one generic reader, and the synthetic demo world.

A reader turns files into `Annotation`s exactly as published (``base.py``); ``resolve.py`` finds
the frames, brings boxes to [0, 1] and writes down everything that was dropped or looks wrong.
``registry.py`` knows the names.
"""
