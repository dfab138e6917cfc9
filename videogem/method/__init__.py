"""The method, one file for each step of the paper. Imports values only."""
