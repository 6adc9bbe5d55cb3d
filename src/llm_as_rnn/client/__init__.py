"""The client of a service (`llm-as-rnn serve`): the verbs of `Learner`, with the memory elsewhere."""
