"""Who may start, who waits, who must stop, and when to try again."""
