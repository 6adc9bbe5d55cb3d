"""Logs of a service: a JSON object a line, without contents and without keys."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

REQUESTS = "llm_as_rnn.service.requests"
"""The logger of requests."""


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON; what stands in its ``fields`` goes in by name.

    Examples
    --------
    >>> said = {"msg": "answered", "levelname": "INFO", "created": 0.0, "fields": {"status": 200}}
    >>> record = logging.makeLogRecord(said)
    >>> print(JsonLines().format(record))
    {"time":"1970-01-01T00:00:00+00:00","level":"info","message":"answered","status":200}
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__  # its message and its values might hold contents
        return msgspec.json.encode(line).decode()


def log_lines(*, requests: bool) -> None:
    """Have the service's loggers, and those of its server, write lines to standard error.

    Parameters
    ----------
    requests : bool
        Whether a line is written for each request.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("llm_as_rnn.service", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    logging.getLogger(REQUESTS).setLevel(logging.INFO if requests else logging.WARNING)
