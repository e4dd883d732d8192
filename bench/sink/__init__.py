"""How fast the view gets into PostgreSQL and Redis: by the sinks, and by programs that count there themselves."""
