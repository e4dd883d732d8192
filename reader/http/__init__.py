"""HTTP: responses, routes and connections. The only folder that imports uvicorn and Starlette; no Kafka, no LMDB."""
