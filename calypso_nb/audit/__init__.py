"""Whether a team keeps the rules of its process."""
