# hactl: two commands for a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
HACTL := target/release/hactl
LAB_PACKAGES := podman crun netavark aardvark-dns iptables nftables mmdebstrap openssh-client util-linux procps python3-venv zip unzip chromium
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help demo demo-down test test-unit test-lab lint deps build bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

deps: ## installs what the lab needs, if it is missing
	@missing=""; for p in $(LAB_PACKAGES); do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; $(SUDO) apt-get update -q >/dev/null; \
	DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -q --no-install-recommends $$missing >/dev/null; fi

build: ## the release binary
	$(CARGO) build --release --locked

demo: deps build ## six hosts, the flagship stack on them, proof that it works
	@$(SUDO) scripts/demo $(HACTL)

demo-down: ## takes the demo's hosts away
	$(SUDO) $(HACTL) lab down -n demo

test: deps lint test-unit test-lab ## everything that CI runs

test-unit: ## seconds, once built
	$(CARGO) test --locked --lib --bins --test cli --test tidy

test-lab: deps ## the real thing: hosts, deploy, breakage
	$(CARGO) build --locked
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" CARGO_HOME="$${CARGO_HOME:-$$HOME/.cargo}" $(CARGO) test --locked --test lab -- --test-threads=1

lint: ## format and clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

bench: deps build ## side by side with Ansible, as ratios
	$(SUDO) benches/deploy $(HACTL)

clean: ## removes what was built
	$(CARGO) clean
