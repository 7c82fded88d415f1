"""One request and its instance: leases, bodies, answers on their way, what is counted."""
