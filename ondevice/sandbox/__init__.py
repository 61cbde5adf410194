"""No egress, enforced: what a process may still do once it holds something private."""
