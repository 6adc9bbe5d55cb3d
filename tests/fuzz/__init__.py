"""Every reader of outside bytes, given bytes that nobody would write; `make fuzz` gives them for longer."""
