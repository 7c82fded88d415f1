"""Messages between those who decide and a machine: each call is answered once, on any line."""
