# make run: start Isoline.  make test: everything the tests need, then the whole suite.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run install test browser clean

run: install
	$(BIN)/isoline up

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	$(PIP) --editable .
	touch $@

test: .venv/tested browser
	$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

.venv/tested: .venv/installed
	$(PIP) --editable '.[test]'
	touch $@

# Browser tests and PostgreSQL tests skip loudly where the package manager cannot bring these.
browser:
	@command -v chromium >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium postgresql >/dev/null; \
	} || echo "no Chromium or PostgreSQL here and no way to install them: their tests will be skipped"

clean:
	rm -rf .venv
