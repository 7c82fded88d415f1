"""JSON bodies as bytes: what they name, and how they are changed."""
