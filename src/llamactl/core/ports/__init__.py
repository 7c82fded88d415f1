"""What control asks of the rest: the protocols that a node, a store and the data path implement."""
