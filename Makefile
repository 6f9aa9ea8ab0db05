# The commands of the project. Each installs what it needs into .venv, at the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# Also what builds the project while it is installed; older versions of pip know the first of the two only.
PINNED := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
INSTALL := $(PINNED) $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help test check docs package news hooks api demo demo-durable chaos bench bench-durable bench-rabbitmq behaviour evidence mutation count rabbitmq valgrind clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{ printf "%-16s %s\n", $$1, $$2 }'

test: .venv/test rabbitmq  ## everything that is promised, proven
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: .venv/check  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: .venv/docs  ## the site, in site/; it fails over a link that leads nowhere, and over whatever it would load from elsewhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

package: .venv/package  ## build what is released into dist, look at it, and use it in new environments
	$(BIN)/python -m tests.package

news: .venv/package  ## what users will be told of the next release, from the folder news
	$(BIN)/towncrier build --draft --version unreleased

hooks: .venv/check  ## let git run what is quick of `make check` before each commit
	$(BIN)/pre-commit install

api: .venv/test  ## write tests/public_api.txt anew, after the public names or their signatures were changed
	$(BIN)/python -m tests.public_api

demo: .venv/demo  ## an application that answers a sign-up at once and mails afterwards
	$(BIN)/python -m examples.signup

demo-durable: .venv/demo  ## the same with its tasks on a file: it is killed before the mails are out, and none is lost
	$(BIN)/python -m examples.signup.demo.durable

bench: .venv/test valgrind  ## all measurements, written to benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

count: .venv/test valgrind  ## the limits on instructions only
	$(BIN)/python -m benchmarks --count-only

bench-durable: .venv/bench  ## durable tasks beside the bare commit and other engines, written to benchmarks/DURABLE.md
	$(BIN)/python -m benchmarks.durable

bench-rabbitmq: .venv/bench rabbitmq  ## durable tasks beside the bare publish, taskiq and Celery, written to benchmarks/RABBITMQ.md
	$(BIN)/python -m benchmarks.rabbitmq

behaviour: .venv/test  ## the same questions to bg_di and its peers, each in an environment of its own under .venv-peers
	$(BIN)/python -m benchmarks.behaviour

evidence: behaviour  ## docs/evidence.md and its figures, from what was measured, asked and counted
	$(BIN)/python -m benchmarks.evidence

chaos: .venv/test rabbitmq  ## 10,000 durable tasks on each engine while everything under them is killed, cut and stopped
	$(BIN)/python -m tests.chaos sqlite --write
	$(BIN)/python -m tests.chaos rabbitmq --write

mutation: .venv/test  ## small changes to the code, each of which a test has to notice, written to tests/mutation/REPORT.md
	nice -n 10 $(BIN)/python -m tests.mutation --report tests/mutation/REPORT.md

# Tests start servers of their own, with certificates that they make. The package's service would be one more that nobody
# has asked for.
rabbitmq:  ## install RabbitMQ and openssl, which tests need, if they are not there
	@{ { command -v rabbitmq-server || test -x /usr/lib/rabbitmq/bin/rabbitmq-server; } && command -v openssl; } >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends rabbitmq-server openssl \
	    && { ! command -v systemctl >/dev/null || systemctl disable --now rabbitmq-server >/dev/null 2>&1 || true; }; } \
	  || { echo "RabbitMQ and openssl are needed by the tests: install the packages rabbitmq-server and openssl of your system" >&2; exit 1; }

valgrind:  ## install valgrind, which counts instructions, if it is not there
	@command -v valgrind >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -qq -y valgrind; } \
	  || { echo "valgrind is needed to count instructions: install the package valgrind of your system" >&2; exit 1; }

clean:  ## remove what the other commands have made
	rm -rf .venv .venv-peers build dist site .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache

.venv/%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --editable ".[$*]"
	touch $@
