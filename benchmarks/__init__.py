"""`make bench`: ratios against nginx and the bare engine, measured in the same run."""
