# What people and machines call. Each target is one script, which can be called by itself as well.

.DEFAULT_GOAL := help
.PHONY: help run build test lint bench clean

# Set to 1, `make run` also starts a throwaway container that imitates an attack.
DEMO ?=
export DEMO

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: ## Watch this host (needs root); DEMO=1 also starts a container that imitates an attack
	@scripts/run

build: ## Build the release binary
	@scripts/install-tools build
	cargo build --release --locked

test: ## Install what the tests need and run all of them (needs root)
	@scripts/install-tools test
	@tests/run

lint: ## Check form, lints, licences and scripts
	@scripts/lint

bench: ## Measure speed and cost
	@if [ -x scripts/bench ]; then scripts/bench; else cargo bench --locked --workspace; fi

clean: ## Remove everything that was built, downloaded for tests, or made for containers
	cargo clean
