"""One look at steps and memories for whoever shows them: the report's page, the service's page, a run that goes on.

`trace` prepares steps and `diff` tells how a memory changed; the script and style sheets in ``static/`` show them in a
browser. They need no build step: they are taken as they are.
"""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""Scripts and style sheets."""

LOOK = ("palette.css", "base.css", "viewer.css")
"""The style sheets of every page that shows steps, in their order."""
