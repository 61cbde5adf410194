"""Make spaces: the base space that ships, and heads trained on a publisher's own users."""
