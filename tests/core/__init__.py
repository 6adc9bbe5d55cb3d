"""The core without I/O: contract and properties of every method."""
