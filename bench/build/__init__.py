"""A build: whether clients see anything unfinished of it, and what its pass costs."""
