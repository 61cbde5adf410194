"""Pieces of screens. They paint what they are given and post messages."""
