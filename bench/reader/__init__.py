"""`python -m bench reader`: capacity, latency, replay and starts of the reader, next to its peers."""
