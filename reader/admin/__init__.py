"""Commands on a reader's copy, while the reader runs or not: snapshot, inspect, verify."""
