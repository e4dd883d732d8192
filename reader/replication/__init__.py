"""Replicates the topic into a copy on disk, and says how far that is."""
