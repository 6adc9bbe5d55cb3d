"""What every method, rule, engine, dataset and score has to do, as checks that anyone can run over their own.

How that is done stands in docs/your-own-method.md.
"""

from llm_as_rnn.testing.checks import Check, check_method, checks
from llm_as_rnn.testing.data import check_dataset, check_score
from llm_as_rnn.testing.engines import check_engine
from llm_as_rnn.testing.rules import check_rule
from llm_as_rnn.testing.stage import Build, ContractError

__all__ = [
    "Build",
    "Check",
    "ContractError",
    "check_dataset",
    "check_engine",
    "check_method",
    "check_rule",
    "check_score",
    "checks",
]
