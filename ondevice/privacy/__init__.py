"""The differentially private release: clipping, noise, stream, accountant, decoder. Pure."""
