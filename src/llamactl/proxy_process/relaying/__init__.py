"""Inside a proxy process."""
