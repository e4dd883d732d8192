"""From a Postgres row to an HTTP answer."""
