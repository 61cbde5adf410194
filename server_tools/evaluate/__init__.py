"""Measure encoders, spaces and whole recommenders on data sets that nothing was tuned to."""
