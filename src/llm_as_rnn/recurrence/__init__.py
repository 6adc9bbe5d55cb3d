"""The paper's method: a memory in language, rewritten after every step, without any I/O."""
