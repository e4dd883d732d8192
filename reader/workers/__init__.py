"""Several processes that answer for one reader: started, informed through shared memory, replaced, stopped."""
