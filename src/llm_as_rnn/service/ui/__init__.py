"""The page `/ui`: what a browser gets of it, beside the viewer that it shares with the report (`llm_as_rnn.viewer`).

Its modules and style sheets are taken as they are; nothing has to be built. Whatever comes from data is set as text.
"""

from __future__ import annotations

from pathlib import Path

FILES = Path(__file__).parent
"""Where they are."""
