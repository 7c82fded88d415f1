"""What should run is kept running: when nodes go away, and in as many replicas as asked for."""
