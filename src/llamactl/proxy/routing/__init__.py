"""Who asks, and for what: from a head to the endpoint that serves it."""
