"""The stages that a request goes through, and what can follow which. Pure."""
