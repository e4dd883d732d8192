"""Measurements of the service and of its peers in the same run; nothing shipped imports this."""
