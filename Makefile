# Two commands on a fresh Debian 12 machine with Rust: `make demo` and `make test`. They install what
# is missing, say so, and can be repeated.

SHELL := /bin/bash
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

CONSOLE := server-endpoint/console
CLIENT := desktop/ui
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help demo test test-windows bench lint deny advisories packages tools webkit console node console-packages client client-packages chromium screen

help:
	@echo "make demo    the main job on real processes, told in a few lines (ONCE=1 ends by itself); opens the"
	@echo "             desktop client where there is a screen (DESKTOP=1 makes one with Xvfb)"
	@echo "make test    all tests"
	@echo "make test-windows  the agent's tests, built for Windows, under Wine"
	@echo "make console the web page for central support, which the server embeds"
	@echo "make client  the pages in the desktop client's window"
	@echo "make bench   speed, memory and bytes on the wire, each beside a baseline of the same run"
	@echo "make packages  debs, rpms, MSIs, bills of materials and checksums, into dist/"
	@echo "make lint    formatting, clippy, Biome and tsc; warnings are errors"
	@echo "make deny    licences, bans and sources of all dependencies"

# SQLite, zstd and ring are compiled from C.
tools:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install it with rustup or apt"; exit 1; }
	@command -v cc >/dev/null || { \
	  echo "installing a C compiler (build-essential)"; \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$SUDO apt-get update -q && $$SUDO apt-get install -y -q build-essential; }

# What the desktop client's window is made of: WebKitGTK, and the icon in the tray.
webkit:
	@dpkg -s libwebkit2gtk-4.1-dev libayatana-appindicator3-dev librsvg2-dev >/dev/null 2>&1 || { \
	  echo "installing what the desktop client is built with (libwebkit2gtk-4.1-dev, libayatana-appindicator3-dev, librsvg2-dev)"; \
	  $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends \
	    libwebkit2gtk-4.1-dev libayatana-appindicator3-dev librsvg2-dev pkg-config; }

# What the console is built with. Debian 12's Node (18) does; npm comes apart from it there.
node:
	@command -v node >/dev/null && command -v npm >/dev/null || { \
	  echo "installing Node.js and npm (nodejs, npm)"; \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$SUDO apt-get update -q && $$SUDO apt-get install -y -q --no-install-recommends nodejs npm; }
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)' || { \
	  echo "Node.js 18 or later is needed; this is $$(node --version)"; exit 1; }

console-packages: node
	@cd $(CONSOLE) && if ! [ node_modules/.installed -nt package-lock.json ]; then \
	  echo "installing the console's npm packages"; \
	  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.installed; fi

# What has not changed is left, so that the server, which embeds it, is not built again either.
console: console-packages
	@cd $(CONSOLE) && if ! [ -f dist/index.html ] || [ -n "$$(find index.html vite.config.ts package-lock.json \
	    src look -newer dist/index.html -print -quit)" ]; then \
	  echo "building the console"; npm run --silent build -- --logLevel=warn; fi

client-packages: node
	@cd $(CLIENT) && if ! [ node_modules/.installed -nt package-lock.json ]; then \
	  echo "installing the desktop client's npm packages"; \
	  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.installed; fi

# A page that cargo put there in its absence is no built one: it has no assets.
client: client-packages
	@cd $(CLIENT) && if ! [ -d dist/assets ] || [ -n "$$(find index.html vite.config.ts package-lock.json \
	    src ../../$(CONSOLE)/look -newer dist/index.html -print -quit)" ]; then \
	  echo "building the desktop client's pages"; npm run --silent build -- --logLevel=warn; fi

# A screen, a session and a driver for the desktop client's real window.
screen:
	@command -v Xvfb >/dev/null && command -v WebKitWebDriver >/dev/null && command -v dbus-daemon >/dev/null || { \
	  echo "installing what the desktop client is tested with (xvfb, dbus, webkit2gtk-driver)"; \
	  $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends xvfb xauth dbus webkit2gtk-driver; }

# Tests drive a real browser.
chromium:
	@command -v chromium >/dev/null || { \
	  echo "installing Chromium for the console's tests (chromium)"; \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$SUDO apt-get update -q && $$SUDO apt-get install -y -q --no-install-recommends chromium; }

demo: tools webkit console client $(if $(DESKTOP),screen)
	@echo "building the programs (the first time takes a few minutes)"
	@$(CARGO) build --locked --quiet -p branchline-agent -p branchline-server -p branchline-desktop -p branchline-tests --bins
	@ONCE=$(ONCE) $(if $(DESKTOP),DESKTOP=$(DESKTOP)) $(CARGO) run --locked --quiet -p branchline-tests --bin demo

packages: tools webkit console client
	packaging/build.sh

test: tools webkit console client chromium screen
	cd $(CONSOLE) && npm run --silent test
	cd $(CLIENT) && npm run --silent test && npm run --silent accessible
	$(CARGO) test --locked --workspace

# The agent's own tests, built for Windows and run under Wine: ten minutes the first time. Not there: tests
# of modes and symbolic links, which are Unix's, and one that Wine cannot run (ignored, with its reason).
test-windows: tools
	packaging/windows/cargo.sh test --locked -p branchline-agent -p branchline-agent-api -p branchline-durable-sqlite -p branchline-protocol \
	  --lib --bins --tests

bench: tools webkit console client
	$(CARGO) build --locked --quiet --release -p branchline-agent -p branchline-server -p branchline-desktop -p branchline-tests --bins
	$(CARGO) run --locked --quiet --release -p branchline-tests --bin bench -- $(BENCH)

lint: tools webkit console-packages client-packages
	cd $(CONSOLE) && npm run --silent lint
	cd $(CLIENT) && npm run --silent lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

deny: tools
	@command -v cargo-deny >/dev/null || { echo "installing cargo-deny (several minutes)"; $(CARGO) install --locked cargo-deny; }
	$(CARGO) deny check bans licenses sources

# Needs the advisory database from the internet; no test does.
advisories: tools
	$(CARGO) deny check advisories
