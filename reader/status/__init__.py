"""What the reader reports about itself: readiness, counters, metrics. Imports no server, no client and no store."""
