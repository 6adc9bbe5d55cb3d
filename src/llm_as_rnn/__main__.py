"""``python -m llm_as_rnn``: the same as the command ``llm-as-rnn``."""

from llm_as_rnn.cli.main import main

if __name__ == "__main__":
    main()
