"""Keys, sessions and browsers: who may do what."""
