# The commands of this repository. `make help` lists them.

CARGO ?= cargo
DEMO_FLAGS ?=
BENCH_FLAGS ?=
# Tests that make cgroups are ignored but where they can.
AS_ROOT := $(if $(filter 0,$(shell id -u)),-- --include-ignored)
# Where tests note the policies that they make, for the judge.
WITNESS := target/witness

.DEFAULT_GOAL := help
.PHONY: help demo test tools bench fuzz lint fmt doc

help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | \
		awk -F'|' '{ printf "  make %-6s %s\n", $$1, $$2 }'

demo: ## see a stolen token die: no AWS account, no root, nothing to set up (DEMO_FLAGS=--json for machines)
	@$(CARGO) run --locked -p credpin-e2e --bin demo --no-default-features -- $(DEMO_FLAGS)

# The tests start the real binaries, which `cargo test` alone need not build. --all-targets builds them
# with the features that the tests need, so that no dependency is built twice.
test: tools ## run every test, with the real parts of `make tools`
	$(CARGO) build --workspace --all-targets --locked
	@rm -rf $(WITNESS) && mkdir -p $(WITNESS)
	CREDPIN_WITNESS="$(CURDIR)/$(WITNESS)" $(CARGO) test --workspace --locked --no-fail-fast $(AS_ROOT)
	CREDPIN_WITNESS="$(CURDIR)/$(WITNESS)" $(CARGO) test --workspace --locked --test judged

tools: ## install moto, clients of AWS and the policy judge under target/tools
	@tests/e2e/tools/setup

# What is measured is what is shipped, so it is built as it is shipped.
bench: ## measure the proxy, beside nginx and haproxy where they are installed, the mock and the controller (BENCH_FLAGS=--json for machines)
	$(CARGO) build --locked --profile dist -p credpin-proxy
	$(CARGO) build --locked --release -p credpin-proxy --no-default-features --example identify
	$(CARGO) build --locked --release -p credpin-ledger --features store --example durable
	$(CARGO) build --locked --release -p credpin-mock-imds
	$(CARGO) build --locked --release -p credpin -p credpin-e2e --no-default-features --bins
	@$(CARGO) run --locked --release -p credpin-bench -- $(BENCH_FLAGS)

fuzz: ## build the fuzz targets and run each for ten seconds (FUZZ_SECONDS)
	@tests/fuzz/run

lint: ## check formatting, and clippy with warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --workspace --test judged --locked -- -D warnings
	$(CARGO) clippy -p credpin-e2e --no-default-features --locked -- -D warnings

fmt: ## format the sources
	$(CARGO) fmt --all

doc: ## build the API documentation with warnings denied, in target/doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
