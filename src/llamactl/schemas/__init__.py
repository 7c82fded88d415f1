"""What the management API takes and answers: the server writes it, the client reads it."""
