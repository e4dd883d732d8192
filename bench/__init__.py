"""Measurements of the service, its peers beside it in the same run; nothing shipped imports this."""
