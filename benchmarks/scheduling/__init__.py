"""Swapping under a simulated clock: the policy's own code on made-up traces, beside LRU + FIFO."""
