"""Answers over HTTP; the only folder that imports uvicorn and Starlette. Knows neither Kafka nor LMDB."""
