"""What is waited for while an engine runs: its health, its idleness, its sleep, its end."""
