"""What was and what has changed since: saved reports, and the difference of two."""
