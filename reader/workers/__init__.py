"""Several processes that serve one reader's copy: started and replaced by one process, which alone writes the copy."""
