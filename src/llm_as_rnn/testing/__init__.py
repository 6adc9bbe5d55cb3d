"""What every method has to do, as checks that anyone can run over a method of their own (docs/your-own-method.md)."""

from llm_as_rnn.testing.checks import Check, check_method, checks
from llm_as_rnn.testing.stage import Build, ContractError

__all__ = ["Build", "Check", "ContractError", "check_method", "checks"]
