"""The built-in engine: llama.cpp's own HTTP server from the `xllamacpp` wheel.

A leaf: it runs as its own process and imports nothing of ours.
"""
