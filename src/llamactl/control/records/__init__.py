"""What is kept of what was served: numbers for charts, and single requests."""
