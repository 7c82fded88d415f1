"""Inside the process that decides: how it sees its proxy processes."""
