"""What is a secret, where it is in a text, and how it is masked."""
