"""The audit's reasons, one module each, and found by themselves.

A module defines ``REASON``, a `backend.qa.audit_items.Reason`: its code, what it says, its weight,
and the check that yields a `Doubt` for every item it speaks against.
"""
