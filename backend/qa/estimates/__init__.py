"""Estimates that rest on reviews: accuracy of all tasks, what to review next, who can be relied on.

Mathematics of numbers and arrays in modules of their own; what the store keeps is read in
`population` and `rounds` alone. May not import the web room.
"""
