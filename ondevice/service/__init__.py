"""Use cases. Each function takes an open `Session` and plain values, and returns frozen values."""
