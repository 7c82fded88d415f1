"""The machine: memory, GPUs, disk, the data directory."""
