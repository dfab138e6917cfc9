"""The dataset formats, one module each, and found by themselves.

A module defines ``READERS``, a tuple of `videogem.datasets.base.Reader`: the name the dataset is
asked for by, and the function that turns its files into `Annotations` exactly as published.
"""
