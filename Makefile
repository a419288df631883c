# Two commands for a newcomer, both doing their own set-up: `make demo` and `make test`.
# Cargo knows what is out of date; this file only names the ways to call it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build programs test demo lab bench fuzz lint seeds cost micro counts deb

export PATH := $(PATH):$(HOME)/.cargo/bin
# What make's own jobserver is for does not apply: cargo schedules by itself.
MAKEFLAGS += --no-print-directory

# Namespaces need root. Cargo itself stays the caller's, so that target/ does too: only the built test
# programs are run by sudo.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E env PATH="$(PATH)")
RUNNER = CARGO_TARGET_$(shell rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER

STORE ?= consul
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 30
# Which comparisons `make bench` runs; all when empty. Where it writes benchmarks.md and its plots to; nowhere when empty.
CASE ?=
DOCS ?=
# Which micro-benchmarks run: those that have it in their name.
PART ?=

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

setup: ## Install what build and tests need (Debian packages, Consul)
	@.ci/setup

build: setup ## Build the programs, optimised, into target/release
	@cargo build --release --locked -p ctl

# Programs and test programs in one call: one set of features, so nothing is built twice.
programs: setup
	@cargo build --locked --workspace --bins --tests

test: programs ## Run all tests, unit to namespaces
	@$(if $(ROOT),$(RUNNER)='$(ROOT)') cargo test --locked --workspace

demo: build ## Two hosts, Consul, two containers, one network, the outside (or STORE=file: one host, no server)
	@cargo build --release --locked -p tests --bin demo
	@$(ROOT) target/release/demo --store $(STORE)

deb: build ## Build a Debian package, into target/debian
	@packaging/build-deb target/release target/debian

lab: build ## The multi-host lab on three Docker engines, step by step (docs/tutorial.md)
	@cargo build --release --locked -p tests --bin lab
	@$(ROOT) target/release/lab

bench: build ## Compare with the kernel, Open vSwitch and Docker; CASE="NAME ..." runs some only, DOCS=docs writes docs/benchmarks.md
	@.ci/setup --bench
	@cargo build --release --locked -p tests --bin bench
	@$(ROOT) target/release/bench $(if $(DOCS),--write-docs $(DOCS)) $(CASE)

fuzz: setup ## Feed every parser and the engine nonsense; FUZZ_SECONDS=... for each target
	@tests/fuzz/run -s $(FUZZ_SECONDS)

seeds: setup ## Write the seeds of the fuzz targets anew, after what they are made of has changed
	@cargo test --locked -p tests --test corpus -- --ignored write_the_seeds

cost: setup ## Print what a packet costs before 10 to 100,000 rules, looked up and walked
	@cargo test --release --locked -p nat --test rules -- --ignored --nocapture speed

micro: setup ## Time the parts of the data path, one by one; PART=engine/ runs some only
	@cargo bench --locked -p micro --features criterion -- $(PART)

counts: setup ## Count their instructions and compare with .ci/instructions.txt; RENEW=1 writes that anew
	@.ci/counts $(if $(RENEW),--renew)

lint: setup ## Formatting, clippy with warnings as errors, crate dependencies
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets --features micro/criterion -- -D warnings
	@.ci/check-deps
