"""The forms in which narration is written down, one module each, and found by themselves.

A module defines ``FORMS``, a tuple of `videogem.narration.form.Form`: the name it is asked for by,
the endings of its files, how it is told from others, and the function that reads its cues.
"""
