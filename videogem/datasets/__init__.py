"""Datasets: published formats, a generic one and exports of Label Studio.

A reader (`readers`, one module a format) turns files into `Annotations` exactly as published
(``base.py``); ``resolve.py`` finds the frames, brings boxes to [0, 1] and writes down everything
that was dropped or looks wrong. ``registry.py`` knows the names.
"""
