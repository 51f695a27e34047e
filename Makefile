# Two commands on a fresh Debian 12 machine with Rust: `make demo` and `make test`. They install what
# is missing, say so, and can be repeated.

SHELL := /bin/bash
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: help demo test bench lint deny advisories tools

help:
	@echo "make demo    the main job on real processes, told in a few lines (ONCE=1 ends by itself)"
	@echo "make test    all tests"
	@echo "make bench   speed, memory and bytes on the wire, each beside a baseline of the same run"
	@echo "make lint    formatting and clippy, warnings are errors"
	@echo "make deny    licences, bans and sources of all dependencies"

# SQLite, zstd and ring are compiled from C.
tools:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install it with rustup or apt"; exit 1; }
	@command -v cc >/dev/null || { \
	  echo "installing a C compiler (build-essential)"; \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$SUDO apt-get update -q && $$SUDO apt-get install -y -q build-essential; }

demo: tools
	@echo "building the programs (the first time takes a few minutes)"
	@$(CARGO) build --locked --quiet -p branchline-agent -p branchline-server -p branchline-tests --bins
	@ONCE=$(ONCE) $(CARGO) run --locked --quiet -p branchline-tests --bin demo

test: tools
	$(CARGO) test --locked --workspace

bench: tools
	$(CARGO) build --locked --quiet --release -p branchline-agent -p branchline-server -p branchline-tests --bins
	$(CARGO) run --locked --quiet --release -p branchline-tests --bin bench -- $(BENCH)

lint: tools
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

deny: tools
	@command -v cargo-deny >/dev/null || { echo "installing cargo-deny (several minutes)"; $(CARGO) install --locked cargo-deny; }
	$(CARGO) deny check bans licenses sources

# Needs the advisory database from the internet; no test does.
advisories: tools
	$(CARGO) deny check advisories
