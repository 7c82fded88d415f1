"""The `llamactl` command: a file for each command group."""
