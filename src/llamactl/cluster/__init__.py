"""How those who decide reach a node."""
