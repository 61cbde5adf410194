"""Publisher's side of updates: keys, a signed repository of static files, invitations."""
