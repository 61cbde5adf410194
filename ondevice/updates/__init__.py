"""Catalogues reach the device here: fetched, verified, installed, or embedded in the package."""
