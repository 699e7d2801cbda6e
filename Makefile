# Everything a maintainer does here; `make help` lists it. .ci/run calls the same targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

tools := build/tools
# The tools of this checkout serve its scripts; KUBEBUILDER_ASSETS replaces the control plane among them.
CARGO ?= cargo
SEED ?=
SEEDS ?= 5000
export TOOLS_PROFILE DEV_PROFILE REGION ENDPOINT YES SEEDS

.PHONY: bench replay simulate simulate-mutations aws-facts aws-facts-clean help tools demo recording test test-argocd lint crds iam conditions goldens cluster fakeaws figures clean build deny chart-lint image-check

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: ## Build etcd, kube-apiserver, kube-controller-manager, kubectl and helm into build/tools (minutes, once)
	@tests/cluster/build-tools.sh $(tools)

build:
	@$(CARGO) build --workspace --locked

demo: tools build ## Show releases in two accounts: passed, stopped, broken by hand, repaired (KEEP=1 leaves it running)
	@"$$($(MAKE) --no-print-directory bin-demo)" --controller "$$($(MAKE) --no-print-directory bin-crossinvoke)" $(if $(KEEP),--keep)

# What differs from run to run stands there as PORT, TIME and EXECUTION-ID; lines that only tell of waiting are left out.
recording: tools build ## Record the demo's output in docs/demo.txt
	@demo=$$("$$($(MAKE) --no-print-directory bin-demo)" --controller "$$($(MAKE) --no-print-directory bin-crossinvoke)"); \
	printf '%s\n' "$$demo" | sed -E \
	  -e '/^   … /d' \
	  -e 's/127\.0\.0\.1:[0-9]+/127.0.0.1:PORT/g' \
	  -e 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/EXECUTION-ID/g' \
	  -e 's/20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/TIME/g' \
	  -e 's/(LAST DEPLOYED: ).*/\1TIME/' \
	  | { printf '%s\n' 'The output of `make demo`, recorded by `make recording`.'; cat; } >docs/demo.txt

test: tools ## Run all tests
	$(CARGO) test --workspace --locked --no-fail-fast

simulate: ## Simulate pipelines with virtual time (SEEDS=100000 for more, SEED=N for one of them, shown)
	@SEED="$(SEED)"; [ -n "$$SEED" ] && export SEED || unset SEED; \
	$(CARGO) test --locked --package crossinvoke --test simulation -- --nocapture

replay: tools ## Replay seeds of the simulation against the real API server and the AWS double (SEEDS=0..100)
	REPLAY="$(if $(findstring ..,$(SEEDS)),$(SEEDS),0..100)" $(CARGO) test --locked --package crossinvoke --test scenarios -- replayed

simulate-mutations: ## Show that the simulation finds faults: each of tests/simulation/mutations has to be found
	@CARGO="$(CARGO)" tests/simulation/mutations.sh

test-argocd: tools ## Test with a real Argo CD, which is built first (five minutes, once; needs redis-server)
	@tests/argocd/build.sh
	$(CARGO) test --locked --package crossinvoke --test argocd

lint: tools ## Check format, lints, generated files, the chart, the image and the dependencies
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --package crossinvoke --test argocd --locked -- -D warnings
	@tests/simulation/mutations.sh --check
	@$(MAKE) --no-print-directory chart-lint image-check deny

chart-lint: tools build
	@tests/chart/crds.sh "$$($(MAKE) --no-print-directory bin-crossinvoke)" --check
	@tests/chart/goldens.sh $(tools)/helm --check

image-check: ## Lint the Dockerfile and check that its context is enough; needs no container engine
	@tests/image/check.sh

deny:
	@tests/deny.sh

crds: build ## Generate crds/ and the chart's copy from the code
	@tests/chart/crds.sh "$$($(MAKE) --no-print-directory bin-crossinvoke)"

conditions: ## Generate docs/conditions.md and the reasons in deploy/argocd from the code, and its values.yaml from its scripts
	UPDATE_GOLDENS=1 $(CARGO) test --locked --lib -p crossinvoke reference

iam: ## Generate deploy/iam from the code
	UPDATE_GOLDENS=1 $(CARGO) test --locked --quiet --lib --package crossinvoke the_shipped_files_are_what_the_command_prints

goldens: tools crds ## Write all golden files anew; look at the difference before you commit it
	@tests/chart/goldens.sh $(tools)/helm
	INSTA_UPDATE=always INSTA_FORCE_PASS=1 UPDATE_GOLDENS=1 $(CARGO) test --workspace --locked --no-fail-fast

cluster: tools build ## Start a control plane and stay
	@exec "$$($(MAKE) --no-print-directory bin-cluster)"

fakeaws: build ## Start the AWS double and stay (SEED=FILE; without it, the three accounts of the demo)
	@seed="$(SEED)"; if [ -z "$$seed" ]; then seed=build/demo-seed.json; mkdir -p build; \
	  "$$($(MAKE) --no-print-directory bin-seed)" >"$$seed"; echo "seed: $$seed (its keys are under \"keys\")" >&2; fi; \
	exec "$$($(MAKE) --no-print-directory bin-fakeaws)" --seed "$$seed"

aws-facts: build ## Ask the facts relied on: of the double, or TOOLS_PROFILE=P DEV_PROFILE=P [REGION=R] [ENDPOINT=URL] [YES=1]
	@FAKEAWS="$$($(MAKE) --no-print-directory bin-fakeaws)" tests/aws-facts/aws-facts.sh

aws-facts-clean: build ## Remove what a broken run of aws-facts left in two accounts (TOOLS_PROFILE=P DEV_PROFILE=P [REGION=R])
	@FAKEAWS="$$($(MAKE) --no-print-directory bin-fakeaws)" tests/aws-facts/aws-facts.sh --clean

SIZE ?= 1000
bench: tools ## Measure many objects with 20 ms a call: calls, versions, CPU, memory (release build; SIZE=200|1000|10000)
	@$(CARGO) build --release --locked --package crossinvoke --bins
	@$(CARGO) build --quiet --locked --package crossinvoke-harness --bin bench
	@target/debug/bench --controller target/release/crossinvoke --size $(SIZE)
	@target/debug/bench --controller target/release/crossinvoke --size $(SIZE) --bulk-reads
	@target/debug/bench --controller target/release/crossinvoke --series

figures: tools ## Measure calls, memory, binary size and test times (release build; many minutes)
	@tests/figures.sh

clean: ## Remove what was built, tools included
	$(CARGO) clean
	rm -rf build

# Where cargo put a binary: CARGO_TARGET_DIR and cargo's own configuration decide that.
bin-%:
	@$(CARGO) metadata --format-version=1 --no-deps --offline --locked | \
	  sed -E 's|.*"target_directory":"([^"]*)".*|\1/debug/$*|'
