"""The view in PostgreSQL: the sink's only folder that imports psycopg."""
