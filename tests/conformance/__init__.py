"""The kit's own tests: it passes against the daemon, and no case is one that can't fail."""
