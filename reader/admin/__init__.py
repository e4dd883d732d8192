"""The commands beside the running reader: snapshot, inspect, verify."""
