"""Runs of methods over sequences: their spec, journal, loop and resume."""
