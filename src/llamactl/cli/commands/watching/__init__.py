"""What runs at the moment."""
