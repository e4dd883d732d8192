"""Runs the join on Quix Streams and RocksDB; the only folder that imports them or touches their private parts."""
