"""A learner in ten lines: predict, be told, predict better. Run it with ``python examples/ten_lines.py``."""

from itertools import pairwise

from llm_as_rnn import Learner

DAYS = [
    {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0},
    {"date": "May 2", "sky": "rain", "high": 10.6, "low": 7.2, "precipitation": 3.1, "wind": 3.2},
    {"date": "May 3", "sky": "sun", "high": 12.8, "low": 5.0, "precipitation": 0.0, "wind": 2.5},
    {"date": "May 4", "sky": "fog", "high": 11.1, "low": 3.9, "precipitation": 0.0, "wind": 1.1},
]

with Learner("weather", budget=128) as learner:
    for today, tomorrow in pairwise(DAYS):
        p = learner.predict_one(today)
        told = learner.learn_one(p.id, {"sky": tomorrow["sky"], "high": tomorrow["high"]})
        print(p.values, "came", tomorrow["sky"], tomorrow["high"], told.fate)
    learner.save("learner.json")
