"""The client for plain code. Made of `_sync` by packaging/generate_client.py."""
