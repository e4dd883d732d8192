"""Load generators for HTTP: open and closed loops, on cores of their own."""
