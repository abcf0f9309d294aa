GO ?= go
# Each fuzz target runs so long in "make test-long"; raise it for a real hunt.
FUZZTIME ?= 3s
# Sweeps through very many cases have a short form, which "make test" runs.
SHORT = -short
# Tests that are run with programs as users build them: of how images start. In the long form the
# race detector watches them once more.
RELEASED ?= StartMethod|Damaged|Cache|SecondContact|Chroot|CutShort|MasterDies
# So many tests against hosts run beside each other: they wait most of their time, for each
# other's ends, for far sides and for tools that are slow on purpose.
PARALLEL ?= 4
# A package whose tests take longer than this hangs.
TIMEOUT ?= 40m

# The race detector needs cgo, and would make every child wait a second at its
# exit for reports of other threads. Everything else is built without cgo, and with the
# same flags everywhere, so that the compiler does nothing twice.
RACE = CGO_ENABLED=1 GORACE=atexit_sleep_ms=0
export CGO_ENABLED = 0
export GOFLAGS := $(GOFLAGS) -trimpath

# What tests against real tools and the benchmark need is not for those who import the
# module, so it is a module of its own. The go command looks at one module at a time.
IN_INTEGRATION = cd integration &&

.PHONY: all build agents release man test test-long unit race hosts released lab-packages tidy vet vet-all staticcheck format fuzz demo bench bench-fleet bench-ansible test-ansible bench-peers clean

all: build

build:
	$(GO) build ./...
	$(IN_INTEGRATION) $(GO) build ./...

# What the command line sends in its place, for the systems that are met most. A mitosis
# that is built or installed from here afterwards embeds them, and else sends itself. Stale
# ones are passed over with a warning when it runs; "make clean" removes them.
AGENTS = cmd/mitosis/agents
agents:
	$(GO) run ./cmd/pack -o $(AGENTS) -systems linux/amd64,linux/arm64 ./cmd/agent

# The command line for several systems, each with agents for many. Nothing is left but bin.
RELEASES ?= linux/amd64 linux/arm64 darwin/arm64 darwin/amd64 freebsd/amd64
release: agents
	$(GO) run ./cmd/pack -o $(AGENTS) -codecs gzip -systems linux/arm,linux/386,linux/riscv64,freebsd/amd64,darwin/arm64 ./cmd/agent
	@mkdir -p bin
	@set -e; for system in $(RELEASES); do \
		out="bin/mitosis-$${system%/*}-$${system#*/}"; echo "$$out"; \
		GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -ldflags '-s -w' -o "$$out" ./cmd/mitosis; \
	done
	@rm -f $(AGENTS)/*_*

# The pages of the manual, in bin/man: of what the commands tell about themselves, and of docs/cli.md.
man:
	@mkdir -p bin
	$(GO) build -o bin/mitosis ./cmd/mitosis
	$(IN_INTEGRATION) $(GO) run ./manual -o ../bin/man ../bin/mitosis ../docs/cli.md

# Everything that has to hold before a change is taken.
test: lab-packages format tidy vet vet-all staticcheck unit

# The same with the long sweeps, the fuzzers, and the tests themselves on every system.
test-long: SHORT =
test-long: TESTS_TOO = yes
test-long: test fuzz

# Two runs beside each other: the tests of one package often wait while another computes. A
# third would have two processors wait for each other. With JOBS=1 it takes half as long
# again, and no test waits for a processor.
JOBS ?= 2
unit:
	$(MAKE) -j$(JOBS) hosts race released

# The packers of images are not watched for races: they have no goroutines as we use them,
# and would take fifteen times as long in every program that a test connects from: 24 s of a
# processor for a test program and gzip.
NO_RACE = $(foreach packer,github.com/klauspost/compress/... compress/flate hash/crc32,-gcflags='$(packer)=-race=false')
GO_TEST_RACE = $(RACE) $(GO) test -race $(NO_RACE) $(SHORT) -timeout $(TIMEOUT)

race:
	$(GO_TEST_RACE) ./...

# The tests against hosts.
hosts:
	$(IN_INTEGRATION) $(GO_TEST_RACE) -parallel $(PARALLEL) $(if $(SHORT),-skip '$(RELEASED)') ./...

# A program that is built for the race detector is not sent as users' programs are
# (package slim). So the tests that depend on images run without it.
released:
	$(GO) test $(SHORT) -timeout $(TIMEOUT) -run 'StartMethod|Image|Cache|Guard|Memory' ./bootstrap/...
	$(IN_INTEGRATION) $(GO) test $(SHORT) -timeout $(TIMEOUT) -parallel $(PARALLEL) -run '$(RELEASED)' .

# The tests against real sshd, sudo and shells need Debian packages. They are
# installed where that can be done without asking; elsewhere the tests say so.
lab-packages:
	@missing="$$($(IN_INTEGRATION) $(GO) run ./lab/packages)"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	elif [ -n "$$missing" ]; then \
		echo "not installed, some tests will be skipped: $$missing"; \
	fi

format:
	@unformatted="$$(gofmt -l $$(git ls-files '*.go'))"; \
	if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi

# go.mod and go.sum have the modules that are needed, and no others.
tidy:
	$(GO) mod tidy -diff
	$(IN_INTEGRATION) $(GO) mod tidy -diff

vet:
	$(GO) vet ./...
	$(IN_INTEGRATION) $(GO) vet ./...

# What a child may run on, as images are built. Tests are left out, with what only they
# import, unless TESTS_TOO is set.
SYSTEMS ?= linux/arm64 linux/arm linux/386 linux/riscv64 darwin/arm64 freebsd/amd64 windows/amd64

vet-all:
	@set -e; overlay="$$(mktemp)"; trap 'rm -f "$$overlay"' EXIT; \
	{ printf '{"Replace":{"/nothing":""'; \
		[ -n "$(TESTS_TOO)" ] || git ls-files -co --exclude-standard '*_test.go' | sed "s|.*|,\"$$PWD/&\":\"\"|"; \
		printf '}}'; } >"$$overlay"; \
	for system in $(SYSTEMS); do \
		echo "vet $$system"; \
		for module in . integration; do \
			(cd $$module && GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) vet -overlay "$$overlay" ./...); \
		done; \
	done

staticcheck:
	@set -e; staticcheck="$$($(IN_INTEGRATION) $(GO) tool -n staticcheck)"; \
	echo "$$staticcheck ./..."; "$$staticcheck" ./...; $(IN_INTEGRATION) "$$staticcheck" ./...

# go test -fuzz takes one target of one package at a time. At the end of its time Go before 1.27
# sometimes takes that for a failure (go.dev/issue/75804): "context deadline
# exceeded", where a target that failed has written its input.
fuzz:
	@set -e; out="$$(mktemp)"; trap 'rm -f "$$out"' EXIT; for pkg in $$($(GO) list ./...); do \
		dir="$$($(GO) list -f '{{.Dir}}' $$pkg)"; \
		for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | sed 's/func //'); do \
			echo "fuzz $$pkg $$target"; \
			if $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg >"$$out" 2>&1; then continue; fi; \
			if grep -q '^    context deadline exceeded$$' "$$out" && ! grep -qi 'failing input' "$$out"; then \
				echo "its time was over, which go took for a failure"; continue; \
			fi; \
			cat "$$out"; exit 1; \
		done; \
	done

# No root, no sshd: the example brings its own.
demo:
	@mkdir -p bin
	@$(GO) build -ldflags '-s -w' -o bin/quickstart ./examples/quickstart
	@./bin/quickstart

# The table of budgets, which are ratios to what was measured beside them. It fails where one is
# missed by more than half.
bench: lab-packages
	@mkdir -p bin
	$(IN_INTEGRATION) $(GO) build -ldflags '-s -w' -o ../bin/bench ./bench
	$(IN_INTEGRATION) ../bin/bench $(BENCHFLAGS)

# Fleets on this machine: 1,500 contexts in three tiers, and 100,000 simulated hosts.
bench-fleet:
	@mkdir -p bin
	$(IN_INTEGRATION) $(GO) build -ldflags '-s -w' -o ../bin/benchfleet ./benchfleet
	bin/benchfleet $(BENCHFLAGS)

# Ansible with the collection of this project. The tests run by the installed ansible-core, and by that of a later
# Debian, which is unpacked in bin. Where that can't be fetched they say so.
ANSIBLE_CORES = bin/ansible-trixie
FETCH = integration/testdata/ansible/fetch.sh
test-ansible: lab-packages
	@$(FETCH) trixie $(ANSIBLE_CORES) ansible-core || echo "not fetched, tests run by the installed ansible-core only"
	$(GO_TEST_RACE) ./ansible/...
	$(IN_INTEGRATION) MITOSIS_TEST_ANSIBLE_CORES="$$(test -d ../$(ANSIBLE_CORES)/ansible && cd ../$(ANSIBLE_CORES) && pwd)" \
		$(GO) test $(SHORT) -timeout $(TIMEOUT) -run Ansible .

# Playbooks over ssh, Mitogen and mitosis, in turns.
bench-ansible: lab-packages agents
	@$(FETCH) sid bin/mitogen-sid ansible-mitogen python3-mitogen && rm -rf bin/mitogen-sid/ansible || echo "not fetched: Mitogen is not measured"
	$(GO) build -trimpath -ldflags '-s -w' -o bin/mitosis ./cmd/mitosis
	$(IN_INTEGRATION) $(GO) build -o ../bin/benchansible ./benchansible
	$(IN_INTEGRATION) ../bin/benchansible -mitogen ../bin/mitogen-sid -program ../bin/mitosis $(BENCHFLAGS)

bench-peers: lab-packages
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get install -y -qq --no-install-recommends python3-mitogen ansible >/dev/null; fi
	$(MAKE) bench BENCHFLAGS=-peers

clean:
	rm -rf bin $(AGENTS)/*_*
