"""From a spec to an engine that answers, and what it says of itself."""
