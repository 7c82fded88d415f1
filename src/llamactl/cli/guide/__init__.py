"""What leads people to a command: its group, its examples, its other names, and an overview."""
