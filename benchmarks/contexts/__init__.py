"""What a conversation waits for when it comes back, with its context and without."""
