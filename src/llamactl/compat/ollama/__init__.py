"""Ollama's API: https://github.com/ollama/ollama/blob/main/docs/api.md

`translation.py` turns its requests into what engines take, `answering.py` the answers back;
`router.py` has the paths. Nothing is imported here: translating has a process of its own.
"""
