"""The check that no method can know an outcome before its time."""
