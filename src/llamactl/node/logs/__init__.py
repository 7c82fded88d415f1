"""An engine's log: written, bounded, read."""
