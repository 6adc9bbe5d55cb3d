#!/bin/sh
# A stream on a pipe: an observation and, when it comes, its outcome. What was learned stays in state.json.
llm-as-rnn predict weather --state state.json --budget 128 "$@" <<'LINES'
{"id": "may-1", "x": {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}}
{"id": "may-2", "x": {"date": "May 2", "sky": "rain", "high": 10.6, "low": 7.2, "precipitation": 3.1, "wind": 3.2}}
{"id": "may-1", "y": {"sky": "rain", "high": 10.6}}
{"id": "may-2", "y": {"sky": "sun", "high": 12.8}}
LINES
