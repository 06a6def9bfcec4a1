"""What the processes say to each other, and how frames are shared."""
