"""What is wanted on is kept on: when nodes went away, and in all the replicas asked for."""
