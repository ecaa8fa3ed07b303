"""The web process: it serves what it was last told, and nothing else."""
