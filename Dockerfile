# A small image: no compiler, no root, and nothing written outside /state, so the root file system can be read-only.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/switchback \
    && /opt/switchback/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY proxy ./proxy
RUN /opt/switchback/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
COPY --from=build /opt/switchback /opt/switchback
RUN mkdir /state && chown 65532:65532 /state
USER 65532:65532
ENV PATH=/opt/switchback/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    SWITCHBACK_HOME=/state
VOLUME /state
EXPOSE 8100 8101
ENTRYPOINT ["switchback"]
CMD ["serve"]
