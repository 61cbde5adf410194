"""Bytes: every format that a publisher writes and a device reads, both directions in one module.

`SPEC.md` beside this file numbers the rules; code and tests cite them. Importing this package loads
nothing; NumPy and `cryptography` arrive with the modules that need them.
"""
