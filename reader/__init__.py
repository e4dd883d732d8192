"""The reader: keeps the topic user-info as a materialized view on local disk, and serves it over HTTP."""
