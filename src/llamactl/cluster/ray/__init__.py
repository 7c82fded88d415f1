"""Nodes on other machines, found and reached by Ray. Nothing else in llamactl imports it.

Ray knows which machines are there and carries calls; it runs none of our engines. Its processes
may be killed at any time: `driver` at the side of those who decide, `mailbox` on each node.
"""
