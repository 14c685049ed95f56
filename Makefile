# What a developer runs, and all that CI runs: `make test`.

SHELL := bash
CARGO ?= cargo
RUSTDOCFLAGS ?= -D warnings
export RUSTDOCFLAGS

.PHONY: help test lint fmt clippy lock tests docs deployment needs run pages bench chaos conformance

help:
	@echo 'make run    one node on 127.0.0.1:8080, no Redis needed'
	@echo 'make test   install what tests need, lint, run all tests and the conformance suite, build the docs'
	@echo 'make lint   formatting, clippy, lock file'
	@echo 'make deployment  check the image, units, compose and Redis configurations, and all scripts'
	@echo 'make pages  man pages and shell completions, into target/pages'
	@echo 'make bench  latency, throughput and memory of a two-node cluster on this machine'
	@echo 'make conformance  the Autobahn test suite against a node, where Python 2.7 is'
	@echo 'make chaos  durable traffic under every fault, and a soak, on this machine'

# One after the other, whatever -j says: cargo holds a lock anyway, and the cheap checks should fail first.
test:
	$(MAKE) needs
	$(MAKE) lint
	$(MAKE) deployment
	$(MAKE) tests
	$(MAKE) conformance
	$(MAKE) docs

lint: lock fmt clippy

# Tests of several nodes that run once more, on each other way in which a Redis can be set up.
AGAIN := routing:: resume:: durable:: locks:: boarding:: orders::

# Licences, bans and dependency walls (deny.toml) are a test: tools/walls.
tests:
	@set -e; if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    set -x; $(CARGO) nextest run --workspace --no-fail-fast; $(CARGO) test --workspace --doc; \
	    TEST_REDIS=sentinel $(CARGO) nextest run --workspace --test cluster --no-fail-fast $(AGAIN); \
	    TEST_REDIS=cluster $(CARGO) nextest run --workspace --test cluster --no-fail-fast $(AGAIN); \
	else \
	    set -x; $(CARGO) test --workspace --no-fail-fast; \
	    TEST_REDIS=sentinel $(CARGO) test --workspace --test cluster -- $(AGAIN); \
	    TEST_REDIS=cluster $(CARGO) test --workspace --test cluster -- $(AGAIN); \
	fi

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

lock:
	@$(CARGO) metadata --locked --format-version 1 >/dev/null || \
	    { echo 'Cargo.lock is not up to date: build once and commit it'; exit 1; }

docs:
	$(CARGO) doc --workspace --no-deps

# Files of deploy/ and scripts, by the tools of their field.
deployment:
	tools/deployment

needs:
	tools/needs

run:
	$(CARGO) run --release

# What packages install beside the binary.
pages:
	$(CARGO) build --release
	target/release/signalbox generate man target/pages/man
	for shell in bash zsh fish; do target/release/signalbox generate completions $$shell >target/pages/signalbox.$$shell || exit; done

bench:
	tools/bench

chaos:
	tools/chaos

conformance:
	tools/conformance
