"""What ``make demo`` runs: a local Label Studio, its processes, projects."""
