# Two commands carry the house: `cargo run --release` serves, `make test` proves.
# Everything here calls a script or a single cargo command, so that nothing is hidden in make.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SUITE ?=
GROUPS ?=

.PHONY: help
help: ## this list
	@printf 'cardproof: the commands of this repository\n\n'
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nTools are installed once into $$CARDPROOF_TOOLS (else the user'"'"'s cache folder); scripts/tool --list names them.\n'

##@ Use it
.PHONY: run
run: ## serve on 127.0.0.1:50051, release build, embedded providers only
	cargo run --release --locked

.PHONY: emulator
emulator: ## play the three vendors on loopback
	cargo run --locked --package cardproof-emulator

.PHONY: descriptors
descriptors: ## the protocol files as one descriptor set, dist/bankcard.v1.binpb
	@mkdir -p dist
	scripts/tool buf build proto --output dist/bankcard.v1.binpb

.PHONY: sbom
sbom: ## what the program is made of, as CycloneDX: dist/cardproof.cdx.json
	@scripts/sbom

##@ Prove it
.PHONY: test
test: ## every suite, with a closing table of times; SUITE="unit readme" for some
	@scripts/test $(SUITE)

.PHONY: test-cluster
test-cluster: ## the chart on a real Kubernetes API server, one of the suites of make test
	@scripts/test cluster

.PHONY: abuse
abuse: ## attacks, floods, idle crowds and a rolling restart; CARDPROOF_ABUSE_SECONDS=60 for long ones
	@scripts/test build abuse

.PHONY: lint
lint: ## format, clippy, shell, protocol files, dependencies, bill of materials, documentation, words
	@scripts/lint

.PHONY: audit
audit: ## security advisories about the dependencies (needs the advisory database)
	@scripts/audit

.PHONY: fuzz
fuzz: ## a million inputs, guided by coverage, for every parser (some 20 minutes; more with CARDPROOF_FUZZ_RUNS)
	@scripts/fuzz

.PHONY: bench
bench: ## every figure against its bar, into docs/BENCHMARKS.md; GROUPS="hits scale" for some
	@scripts/bench $(GROUPS)

##@ Keep it tidy
.PHONY: docs
docs: ## write the pages of docs/ that are made from the program's own tables
	cargo run --locked --quiet --example generate-docs -- --write

.PHONY: fmt
fmt: ## format the Rust sources and the protocol files
	cargo fmt --all
	scripts/tool buf format --write

.PHONY: clean
clean: ## remove what was built here; shared tools stay
	cargo clean
	find scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
