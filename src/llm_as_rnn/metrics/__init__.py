"""Scores as pure functions of journal records."""
