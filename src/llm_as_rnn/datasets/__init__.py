"""Sources of sequences: what is shipped, and how a user's own data is read."""
