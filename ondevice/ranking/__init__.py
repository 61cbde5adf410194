"""Arithmetic of lists: scores, the best of them, the owner's overlay, quality metrics. Pure."""
