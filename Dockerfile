# Build: docker build -t mcp-authz .
#        docker build -t mcp-authz --build-arg EXTRAS="aws telemetry" .
# Once:  docker run --rm -v authz:/var/lib/authz mcp-authz init --issuer https://auth.example.com
# Run:   docker run --read-only --tmpfs /tmp -v authz:/var/lib/authz -p 8080:8080 mcp-authz
#
# Nothing is written outside of /var/lib/authz (authz.toml, the key-encryption key, a SQLite file)
# and /tmp. With PostgreSQL nothing is written there either once `init` has run.
#
# The last stage starts from nothing: whoever gets in finds no shell, no package manager and no tool but the interpreter
# itself. deploy/image/collect.py says what belongs to it.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
# Extras of pyproject.toml, with spaces between; each has a lock of its own (requirements/extra-NAME.txt). SAML is in always.
ARG EXTRAS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements requirements
# Two environments, so that nothing of the build tools ships.
RUN python -m venv /opt/authz \
    && /opt/authz/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements/runtime.txt \
    && for extra in ${EXTRAS}; do \
        /opt/authz/bin/pip install --require-hashes --no-deps --only-binary :all: -r "requirements/extra-${extra}.txt" || exit 1; \
    done \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements/build.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY authz authz
COPY templates templates
COPY alembic alembic
COPY deploy/image deploy/image
RUN /opt/build/bin/python -m build --wheel --no-isolation --outdir /tmp/wheel \
    && /opt/authz/bin/pip install --no-deps --no-index /tmp/wheel/*.whl \
    && /opt/authz/bin/python -m compileall -q /opt/authz/lib \
    && /opt/authz/bin/pip check \
    && /opt/authz/bin/pip uninstall --yes --quiet setuptools pip \
    && /opt/authz/bin/python deploy/image/sbom.py > /opt/authz/sbom.cdx.json \
    && /opt/authz/bin/python deploy/image/collect.py /rootfs \
    && mkdir /state

FROM scratch
COPY --from=build /rootfs /
COPY --from=build --chown=10001:10001 /state /var/lib/authz
# The server answers on every address of the container; what is published is the operator's choice.
ENV PATH=/opt/authz/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AUTHZ__SERVER__HOST=0.0.0.0 \
    AUTHZ__SERVER__PORT=8080
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/authz
VOLUME /var/lib/authz
EXPOSE 8080
STOPSIGNAL SIGTERM
# http.client asks no proxy of the environment.
HEALTHCHECK --interval=15s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['AUTHZ__SERVER__PORT']), timeout=2); c.request('GET', '/health/ready'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["authz"]
CMD ["serve"]
