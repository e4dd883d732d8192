"""Pure logic, and edges that need no server."""
