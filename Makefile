GO ?= go
# Each fuzz target runs so long in "make test"; raise it for a real hunt.
FUZZTIME ?= 3s
# Tests of package integration that are about images and how they start.
RELEASED ?= Rung|Damaged|Cache|SecondContact|Chroot|CutShort|MasterDies|LoginShells
# A test that takes longer than this hangs.
TIMEOUT ?= 25m

# The race detector needs cgo, and would make every child wait a second at its
# exit for reports of other threads.
export CGO_ENABLED = 1
export GORACE = atexit_sleep_ms=0

.PHONY: all build test unit lab-packages vet vet-all staticcheck format fuzz demo bench bench-peers clean

all: build

build:
	$(GO) build ./...

# Everything that has to hold before a change is taken.
test: lab-packages format vet vet-all staticcheck unit fuzz

# What is built for the race detector is sent as it is (packages slim and fold), so
# what depends on images is tested once more with programs as users build them.
unit:
	$(GO) test -race -timeout $(TIMEOUT) ./...
	CGO_ENABLED=0 $(GO) test -timeout $(TIMEOUT) ./bootstrap ./bootstrap/internal/guard
	CGO_ENABLED=0 $(GO) test -timeout $(TIMEOUT) -run '$(RELEASED)' ./integration

# The tests against real sshd, sudo and shells need Debian packages. They are
# installed where that can be done without asking; elsewhere the tests say so.
lab-packages:
	@missing="$$($(GO) run ./integration/lab/packages)"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	elif [ -n "$$missing" ]; then \
		echo "not installed, some tests will be skipped: $$missing"; \
	fi

format:
	@unformatted="$$(gofmt -l $$(git ls-files '*.go'))"; \
	if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi

vet:
	$(GO) vet ./...

# What a child may run on, tests included, and without cgo, as images are built.
# The compiler and the checks keep their results: the first time takes minutes,
# later ones seconds.
SYSTEMS ?= linux/arm64 linux/arm linux/386 linux/riscv64 darwin/arm64 freebsd/amd64 windows/amd64

vet-all:
	@set -e; for system in $(SYSTEMS); do \
		echo "vet $$system"; \
		CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) vet ./...; \
	done

staticcheck:
	$(GO) tool staticcheck ./...

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
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/quickstart ./examples/quickstart
	@./bin/quickstart

# The table of budgets. Fails where one is missed by more than half.
bench: lab-packages
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/bench ./integration/bench
	./bin/bench $(BENCHFLAGS)

bench-peers: lab-packages
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get install -y -qq --no-install-recommends python3-mitogen ansible >/dev/null; fi
	$(MAKE) bench BENCHFLAGS=-peers

clean:
	rm -rf bin
