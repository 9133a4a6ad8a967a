# The twin, for docker-compose.yml.
FROM python:3.11.13-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /twin
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY simulator simulator
COPY pipeline pipeline
COPY infra_cdk infra_cdk
RUN pip install --no-cache-dir -c constraints.txt -e ".[embedded]"
ENTRYPOINT ["fleetwin"]
