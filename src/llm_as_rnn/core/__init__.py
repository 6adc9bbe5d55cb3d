"""The vocabulary and the contract that all rooms speak: values, fields, tasks, settings, methods, engines."""
