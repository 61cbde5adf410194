"""Checks that measure what the rest of the project claims, on the code that is installed."""
