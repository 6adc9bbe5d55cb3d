"""Engines, the response cache, and model files."""
