# One file, three images:
#
#   docker build --target joiner --tag user-info-joiner .
#   docker build --target reader --tag user-info-reader .
#   docker build --target poller --tag user-info-poller .
#
# Each contains its own tier's locked packages and nothing of the others'. No compiler is needed anywhere: every package
# comes as a wheel, checked against the hash in its lock file.
ARG PYTHON=3.13-slim

FROM python:${PYTHON} AS wheel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/build.lock requirements/
RUN python -m venv tools
RUN tools/bin/python -m pip install --require-hashes --only-binary=:all: -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY doctor doctor
COPY joiner joiner
COPY poller poller
COPY reader reader
COPY replication replication
COPY sink sink
RUN tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .

FROM python:${PYTHON} AS joiner-packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/service
COPY requirements/joiner.lock requirements/
RUN python -m pip --python /opt/service/bin/python install --require-hashes --only-binary=:all: -r requirements/joiner.lock
COPY --from=wheel /build/dist dist
RUN python -m pip --python /opt/service/bin/python install --no-deps --no-index dist/*.whl

FROM python:${PYTHON} AS reader-packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/service
COPY requirements/reader.lock requirements/
RUN python -m pip --python /opt/service/bin/python install --require-hashes --only-binary=:all: -r requirements/reader.lock
COPY --from=wheel /build/dist dist
RUN python -m pip --python /opt/service/bin/python install --no-deps --no-index dist/*.whl

FROM python:${PYTHON} AS poller-packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/service
COPY requirements/poller.lock requirements/
RUN python -m pip --python /opt/service/bin/python install --require-hashes --only-binary=:all: -r requirements/poller.lock
COPY --from=wheel /build/dist dist
RUN python -m pip --python /opt/service/bin/python install --no-deps --no-index dist/*.whl

FROM python:${PYTHON} AS tier
# A number, so that an orchestrator can see that it is not root; the state's folder is the only one that it writes to.
RUN useradd --system --uid 10001 --no-create-home service \
    && install --directory --owner=service --mode=0750 /var/lib/user-info
ENV PATH=/opt/service/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/user-info
VOLUME /var/lib/user-info
USER 10001

FROM tier AS joiner
COPY --from=joiner-packages /opt/service /opt/service
ENV JOINER_STATE_DIR=/var/lib/user-info JOINER_HTTP_HOST=0.0.0.0 JOINER_HTTP_PORT=8001
EXPOSE 8001
# With JOINER_HTTP_PORT=0, run the container with --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['JOINER_HTTP_PORT'] + '/livez', timeout=4)"]
ENTRYPOINT ["python", "-m", "joiner"]

FROM tier AS reader
COPY --from=reader-packages /opt/service /opt/service
ENV READER_STATE_DIR=/var/lib/user-info READER_HOST=0.0.0.0 READER_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['READER_PORT'] + '/livez', timeout=4)"]
ENTRYPOINT ["python", "-m", "reader"]

FROM tier AS poller
COPY --from=poller-packages /opt/service /opt/service
ENV POLLER_STATE_DIR=/var/lib/user-info POLLER_HTTP_HOST=0.0.0.0 POLLER_HTTP_PORT=8004
EXPOSE 8004
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['POLLER_HTTP_PORT'] + '/livez', timeout=4)"]
ENTRYPOINT ["python", "-m", "poller"]
