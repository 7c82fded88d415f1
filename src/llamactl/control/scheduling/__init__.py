"""Who may start, in which order, and who must go first."""
