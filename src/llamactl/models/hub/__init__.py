"""What the hub has, what of it fits this machine, and what to do when it can't be reached."""
