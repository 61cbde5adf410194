"""A catalogue's items become vectors in a space, and the shards of a build."""
