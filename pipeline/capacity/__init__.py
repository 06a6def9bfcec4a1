"""What streams cost on this machine, and how many of them it carries."""
