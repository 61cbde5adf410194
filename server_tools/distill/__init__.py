"""A large sentence encoder teaches a small one. Needs the [server] extra."""
