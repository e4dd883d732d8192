"""`python -m bench joiner`: throughput, freshness and restart of the joiner, next to its peers."""
