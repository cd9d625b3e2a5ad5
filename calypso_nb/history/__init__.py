"""What was and what has changed since: reports saved and compared, and histories recorded, kept and read."""
