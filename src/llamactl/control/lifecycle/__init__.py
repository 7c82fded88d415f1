"""The life of each instance: its state, the replica that runs it, what is written down of both."""
