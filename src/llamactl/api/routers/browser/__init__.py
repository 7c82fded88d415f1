"""What the web page needs: its files, its stream of changes, its session."""
