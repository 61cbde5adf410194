"""From behaviours to steps, from released rows to a profile, from a profile to two views. Pure."""
