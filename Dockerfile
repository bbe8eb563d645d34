# A small image: the data path compiled, no compiler, no root, and nothing written outside /state, what SQLite sorts on disk included,
# so the root file system can be read-only. Only the build stage has a compiler.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/switchback \
    && /opt/switchback/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY .packaging ./.packaging
COPY proxy ./proxy
RUN HATCH_BUILD_HOOKS_ENABLE=1 /opt/switchback/bin/pip install --no-cache-dir --no-deps . \
    && /opt/switchback/bin/switchback --version | grep compiled

FROM python:3.11-slim
COPY --from=build /opt/switchback /opt/switchback
RUN mkdir /state && chown 65532:65532 /state
USER 65532:65532
ENV PATH=/opt/switchback/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    SWITCHBACK_HOME=/state \
    SQLITE_TMPDIR=/state \
    SWITCHBACK_LISTEN=0.0.0.0:8100 \
    SWITCHBACK_ADMIN__LISTEN=0.0.0.0:8101
VOLUME /state
EXPOSE 8100 8101
# With `admin.tls` the port speaks https alone; asked from inside, whose name the certificate has does not matter.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import ssl\nfrom urllib.request import urlopen\ntry:\n    urlopen('http://127.0.0.1:8101/readyz', timeout=2)\nexcept OSError:\n    urlopen('https://127.0.0.1:8101/readyz', timeout=2, context=ssl._create_unverified_context())"]
ENTRYPOINT ["switchback"]
CMD ["serve"]
