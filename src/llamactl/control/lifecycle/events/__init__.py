"""What happened, and why: recorded, and written in batches."""
