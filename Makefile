# Everything that is done with this repository is done from here; `make` alone lists it.
# What needs packages or an engine installs and starts them itself, as root, on Debian.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help fmt lint unit build build-pgo check test e2e faults bench soak fuzz audit docs image demo demo-stop run

# Empty, to build with the newest versions of all dependencies: make unit LOCKED=
LOCKED ?= --locked

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

fmt: ## format the code; needs Rust and nothing else, like the next two
	@cargo fmt --all

lint: ## lints of all code
	@cargo clippy $(LOCKED) --workspace --all-targets -- -D warnings

unit: ## unit and fixture tests, tidy: no root, no packages, seconds when warm
	@cargo test $(LOCKED) -q --workspace --exclude gangway-tests --lib --bins
	@cargo test $(LOCKED) -q -p gangway-model -p gangway-compose --tests
	@cargo test $(LOCKED) -q -p gangway-tests --test tidy

build: ## the release binary
	@.ci/install build
	@cargo build --release $(LOCKED) -p gangway
	@echo "built $$(.ci/artifact gangway)"

build-pgo: ## the binary of the image: the release binary, optimised by a profile of the scenes of bench
	@.ci/install pgo
	@binary=$$(.ci/build-pgo) && echo "built $$binary"

check: ## format, lint, all tests that need no engine, documentation, tidy
	@.ci/install check
	@.ci/suite check

test: ## everything: check, and end to end on a real engine
	@.ci/install test
	@.ci/suite check e2e

e2e: ## only end to end, on a real engine
	@.ci/install test
	@.ci/suite e2e

faults: ## the table of faults: containers, engine and apps go wrong under load, twenty times each
	@.ci/install test
	@FAULT_TURNS=20 .ci/suite faults

bench: ## CPU time and latency of a request beside nginx, HAProxy and Caddy; BENCH=--write puts them into docs/performance.md
	@.ci/install bench
	@tests/bench/run $(BENCH)

soak: ## half an hour of mixed load and faults (SOAK_MINUTES): memory and descriptors stay flat, nothing is lost
	@.ci/install build
	@cargo build --locked -q --release -p gangway -p gangway-testkit --bins
	@cargo run --locked -q -p gangway-tests --bin soak

fuzz: ## the fuzz targets, a minute each
	@.ci/install build
	@.ci/fuzz

audit: ## dependencies: known vulnerabilities, licences, sources, bans
	@.ci/install build
	@.ci/audit

docs: ## write the generated reference pages and the pictures of the page again
	@.ci/install docs
	@.ci/docs

image: ## the container image gangway:latest
	@.ci/install demo
	@.ci/engine
	@.ci/image gangway

demo: ## Gangway and two apps on an engine, asked over https
	@.ci/install demo
	@.ci/demo

demo-stop: ## remove what the demo made
	@.ci/demo stop

run: ## the release binary on ports 8080 and 8443 beside the local engine
	@.ci/install demo
	@.ci/engine
	@cargo build --release --locked -p gangway
	@mkdir -p target/run
	@"$$(.ci/artifact gangway)" serve --http 127.0.0.1:8080 --https 127.0.0.1:8443 --data target/run
