"""The management API, a file for each resource."""
