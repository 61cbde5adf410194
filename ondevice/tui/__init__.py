"""The terminal front end. Paints first; everything that takes time happens in the engine thread."""
