"""The `llamactl` command: `commands/` has a file for each group of commands."""
