"""What the numbers of a team's workload mean: pure pandas, no I/O and no HTML."""
