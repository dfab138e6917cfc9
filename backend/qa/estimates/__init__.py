"""Estimates that rest on reviews: accuracy of all tasks, what to review next, who can be relied on.

The mathematics is in modules that call themselves pure: they know numbers and arrays only. The
others read in the store what it rests on, and do and keep what follows.
"""
