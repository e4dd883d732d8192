"""The view in Redis, or in what speaks its protocol: the only folder that imports its client."""
