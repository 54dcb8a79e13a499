# Everything is done by packaging/setup.py, which runs on Windows and macOS too (without make).
PYTHON ?= python3
SETUP = @$(PYTHON) packaging/setup.py
N ?= 1000
SEED ?= 1

.PHONY: help setup run test bench cloud torture offline-week templates bundles deploy lint lock translations
help:  ## this list
	@sed -n 's/^\([a-z-]*\):  *## /  make \1	/p' Makefile

setup:  ## everything: system packages, .venv with locked packages, third-party weights
	$(SETUP) setup

run:  ## the window; without a display a demo scan in the terminal; your own: make run SCAN="--camera 0"
	$(SETUP) run -- $(SCAN)

test:  ## the tests; a part of them: make test TESTS="tests/client -k weights"
	$(SETUP) test -- $(TESTS)

bench:  ## the benchmark with its readers and plots; a part of it: make bench BENCH="--grid traces --subset 200"
	$(SETUP) bench -- $(BENCH)

cloud:  ## the whole backend on loopback, in the foreground, with stand-ins for AWS
	$(SETUP) cloud -- $(CLOUD)

torture:  ## kill -9 of clients and cloud on a bad network, N times: nothing lost, doubled or corrupted; make torture N=30 SEED=7
	$(SETUP) torture -- --kills $(N) --seed $(SEED) $(TORTURE)

offline-week:  ## 1,000 scans and 200 documents kept without a network, then the sync: seconds, memory, pictures of the window
	$(SETUP) offline-week -- $(WEEK)

templates:  ## every gate on the cloud's templates: cfn-lint, SAM, checkov, HIPAA's pack of cdk-nag
	$(SETUP) templates -- $(TEMPLATES)

bundles:  ## what each function of the cloud is made of, for arm64, without Docker, and how large it is
	$(SETUP) bundles

deploy:  ## a stack, into the AWS account that you are signed in to: make deploy DEPLOY="core --guided"
	$(SETUP) deploy -- $(DEPLOY)

lint:  ## ruff, mypy, import contracts
	$(SETUP) lint

lock:  ## requirements/*.txt anew from pyproject.toml; UPGRADE=1 for the newest versions
	$(SETUP) lock

translations:  ## the sentences to translate, into assets/i18n/*.ts (open them with pyside6-linguist)
	$(SETUP) translations
