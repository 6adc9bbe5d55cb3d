"""Made-up tides: what a package looks like that brings something to llm-as-rnn."""
