"""Use cases: what people and requests may ask for. Decides by policy, acts through core.ports."""
