"""A private recommender that runs where the behaviour is."""

__version__ = "0.1.0"
