"""The client to be awaited. `_sync` is made of this folder by packaging/generate_client.py."""
