"""The same objects from frame to frame."""
