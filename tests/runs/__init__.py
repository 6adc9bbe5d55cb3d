"""Runs: journal, loop, resume."""
