"""How those who decide reach a node: by a call, or by messages on a line."""
