"""Connections with clients and engines: bytes in, requests and answers out."""
