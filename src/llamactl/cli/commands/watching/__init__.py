"""What goes on at the moment."""
