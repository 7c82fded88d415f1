"""Other programs' APIs, translated onto ours: clients of it, with their caller's own key."""
