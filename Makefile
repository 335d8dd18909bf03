# One word for each thing one does here; the work is in cargo and in small scripts with a --help of their own.
# ARGS goes to the script behind a target: `make deploy ENV=dev ARGS=--guided`.
# ENV is dev, canary or prod, the environments of samconfig.toml; without it smoke, canary and rollback mean the
# local stack.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

setup := infra/tools/setup
stack = $(if $(ENV),--stack chaski-$(ENV),--local)
cargo_test := cargo test --workspace --locked --no-fail-fast

# Nothing here is a file's name. The targets share target/ and ports, and cargo uses all cores by itself.
.PHONY: help setup build run release test coverage lint local local-down package deploy smoke canary rollback \
	bench bench-peers bench-lambda bench-calls mutants skew template clean
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install the pinned tools into .tools/ (needs Rust and Python 3.11; no root)
	$(setup)

build: ## build the functions for this machine (ARGS=--arm64: for AWS)
	$(setup) sam
	infra/bin/build $(or $(ARGS),--host)

run: ## the dispatcher on the embedded store in ./chaski-data, in the foreground (ARGS="--listen 127.0.0.1:9090")
	cargo build --locked -p chaski
	@exec target/debug/chaski serve --allow-private-targets $(ARGS)

release: ## chaski as it is shipped: target/serve/chaski
	cargo build --locked --profile serve -p chaski

test: ## all tests, the end-to-end ones against the functions deployed on a local AWS
	$(setup) ministack sam oracles
	infra/tools/with-local-stack $(cargo_test) $(ARGS)

coverage: ## the same tests with lines counted: a table, uncovered lines, and the gate
	$(setup) ministack sam oracles llvm
	infra/tools/with-local-stack infra/tools/coverage $(cargo_test) $(ARGS)

lint: ## format, clippy, docs, licences, unused dependencies, template, scripts (ARGS=clippy: one)
	$(setup) sam cargo
	infra/tools/lint $(ARGS)

local: ## start a local AWS, deploy to it, print the API's address and a curl line
	$(setup) ministack sam
	infra/local/up

local-down: ## end the local AWS
	infra/local/down

package: ## a versioned zip of each function with checksums, in dist/
	$(setup) sam
	infra/bin/package $(ARGS)

deploy: ## deploy to AWS: ENV=dev ARGS="--target URL", the first time with --guided too; ends with the smoke test
	@[ -n "$(ENV)" ] || { echo "make deploy ENV=dev|canary|prod" >&2; exit 2; }
	$(setup) sam
	infra/bin/deploy --env $(ENV) $(ARGS)

smoke: ## send one message through the deployed stack and see it arrive
	infra/bin/smoke $(stack) $(ARGS)

canary: ## show the weights of the aliases, or set one: ENV=prod ARGS="--weight 10"
	infra/bin/canary $(stack) $(ARGS)

rollback: ## move the aliases back to the version before
	infra/bin/rollback $(stack) $(ARGS)

bench: ## speed and memory of `chaski serve`, in a table (ARGS="--only deliver": one figure)
	infra/bench/serve $(ARGS)

bench-peers: ## the same load on Celery with Redis, Celery with RabbitMQ and BullMQ, side by side
	infra/bench/peers $(ARGS)

bench-lambda: ## start-up, size and memory of each function's binary, beside one that does nothing
	$(setup) sam
	infra/bench/lambda $(ARGS)

bench-calls: ## what each feature costs in calls to AWS, counted on a local AWS, at list prices
	$(setup) ministack sam
	infra/tools/with-local-stack cargo run --locked --quiet -p chaski-tests --bin bench-calls

mutants: ## break the code in known ways, one at a time, and see the tests notice
	$(setup) ministack sam oracles
	tests/seeded-faults $(ARGS)

skew: ## run this commit's functions mixed with those of BASE=<commit>
	@[ -n "$(BASE)" ] || { echo "make skew BASE=<commit>" >&2; exit 2; }
	$(setup) ministack sam
	infra/bin/skew $(BASE) $(ARGS)

template: ## write the parts of template.yaml that follow from chaski.toml
	infra/bin/template $(ARGS)

clean: local-down ## remove what was built; .tools/ stays
	cargo clean
	rm -rf dist
