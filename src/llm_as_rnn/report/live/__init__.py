"""A run in the browser, also while it goes on: the viewer of the report, fed from the journal.

It is served by the standard library: a page for one person on one machine needs no framework, and whoever has a run can
look at it without an extra to install. What a run holds may be private, and other users of a machine can reach its
loopback: so data are given to those alone who have the key, which is made anew each time.
"""

from __future__ import annotations

from llm_as_rnn.report.live.server import Server
from llm_as_rnn.report.live.watch import Watch

__all__ = ["Server", "Watch"]
