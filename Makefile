# hactl: two commands for a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
HACTL := target/release/hactl
# Virtual machines are of the machine's own architecture. Where that is a PC their tests build a cloud image, with a boot loader.
QEMU := $(if $(filter aarch64 arm64,$(shell uname -m)),qemu-system-arm,qemu-system-x86 grub-pc-bin grub-common fdisk) \
	qemu-utils e2fsprogs flex bison bc make gcc xz-utils kmod
LAB_PACKAGES := podman crun netavark aardvark-dns iptables nftables mmdebstrap openssh-client util-linux procps python3-venv zip unzip chromium
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help demo demo-down test test-all test-unit test-mechanics test-lab test-vm lint deps deps-vm build bench clean
LAB_TESTS = $(SUDO) env PATH="$$PATH" HOME="$$HOME" CARGO_HOME="$${CARGO_HOME:-$$HOME/.cargo}" $(CARGO) test --locked --test lab -- --test-threads=1

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

deps: ## installs what the lab needs, if it is missing
	@scripts/deps $(LAB_PACKAGES)

deps-vm: deps ## installs what virtual machines need, if it is missing
	@scripts/deps $(QEMU)

build: ## the release binary
	$(CARGO) build --release --locked

demo: deps build ## six hosts, the flagship stack on them, proof that it works
	@$(SUDO) scripts/demo $(HACTL)

demo-down: ## takes the demo's hosts away
	$(SUDO) $(HACTL) lab down -n demo

test: deps-vm lint test-unit test-lab ## everything that CI runs

test-all: deps-vm lint test-unit test-mechanics ## everything there is: every drill and restart on virtual machines, too
	$(CARGO) build --locked
	$(LAB_TESTS)

test-unit: deps-vm ## seconds, once built
	$(CARGO) test --locked --lib --bins --test cli --test tidy

test-mechanics: deps ## the playbooks of tests/data/mechanics, run by ansible-core again: it still does what is recorded
	@scripts/ansible-venv .cache/ansible
	.cache/ansible/bin/python3 tests/mechanics/record.py --check

test-lab: deps-vm ## the real thing: hosts, deploy, breakage; containers, then virtual machines
	$(CARGO) build --locked
	$(LAB_TESTS) --skip _long_

test-vm: deps-vm ## all that is tried on virtual machines, and nothing else
	$(CARGO) build --locked
	$(LAB_TESTS) machines_

lint: ## format and clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

bench: deps build ## side by side with Ansible, as ratios
	$(SUDO) benches/deploy $(HACTL)

clean: ## removes what was built
	$(CARGO) clean
