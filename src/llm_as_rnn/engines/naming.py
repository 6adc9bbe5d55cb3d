"""How models are named: the kinds of model strings, and the model that is asked where nobody names one."""

from __future__ import annotations

DEFAULT_NAME = "smollm2-135m"
"""The registered model where the user names none."""

DEFAULT_MODEL = f"llamacpp:{DEFAULT_NAME}"
"""The model string where the user names none."""

KINDS = {
    "llamacpp": "llamacpp:NAME or llamacpp:FILE.gguf",
    "openai": "openai:MODEL",
    "scripted": "scripted:FILE.jsonl",
}
"""The kinds of model strings, and how each is written."""
