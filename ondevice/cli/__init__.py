"""The command line: parse, call `service`, render. Decides nothing."""
