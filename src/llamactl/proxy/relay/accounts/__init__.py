"""What is kept of requests: numbers, the last ones, those that their client or engine left."""
