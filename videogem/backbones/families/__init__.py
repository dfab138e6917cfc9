"""The kinds of models, one module each, and found by themselves when a model is loaded.

A module defines ``FAMILY``, a `videogem.backbones.family.Family`: the architectures it knows by
name, and the function that makes a `videogem.method.backbone.Backbone` of what was asked for.
Weights of the hub are rows of ``data/weights.json``, so that `videogem models` imports none of it.
"""
