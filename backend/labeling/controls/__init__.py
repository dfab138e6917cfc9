"""The controls that can be filled, one module each, and found by themselves.

A module defines ``CONTROL``, a `backend.labeling.forms.ControlForm`: its tags, what is written for
a grounding, and how the place that somebody drew with it is read back. The module's name is the
control's ``kind``.
"""
