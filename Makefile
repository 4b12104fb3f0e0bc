# `make help` lists the targets.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
REVIVE      := github.com/mgechev/revive@v1.17.0
SLOGLINT    := go-simpler.org/sloglint/cmd/sloglint@v0.12.0
MISSPELL    := github.com/golangci/misspell/cmd/misspell@v0.8.0
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION    := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
VARS        := github.com/prometheus/common/version
LDFLAGS     := -s -w -X $(VARS).Version=$(VERSION) -X $(VARS).Revision=$(REVISION)

# TEST tests with the race detector, which needs cgo; without a C compiler it tests without.
RACE     = $(shell command -v $$($(GO) env CC) >/dev/null 2>&1 && echo -race)
TEST     = $(if $(RACE),CGO_ENABLED=1) $(GO) test $(RACE)
FUZZTIME ?= 2000x

# TARGETS are the platforms of make cross; DIST is the folder for everything that users download.
TARGETS ?= amd64 arm64 arm/6 arm/7
DIST    ?= dist
APT     ?= $(DIST)/apt

.PHONY: help check-go build install uninstall check test variants connections soak vm lint vuln fuzz cross image packages apt-repo release bench demo dashboards docs ci clean

build: check-go ## build the program for this machine
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o nightporter ./cmd/nightporter

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

# Without GOTOOLCHAIN an older Go would download a newer one.
check-go: ## check that Go is new enough
	@need=$$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod); \
	found=$$(GOTOOLCHAIN=$${GOTOOLCHAIN:-local} $(GO) version 2>/dev/null | sed -n 's/.*go\([0-9][0-9.]*\).*/\1/p'); \
	[ "$$(printf '%s\n' "$$need" "$$found" | sort -V | head -n 1)" = "$$need" ] || { \
	  echo "Go $$need or newer is needed, found $${found:-none}: take it from https://go.dev/dl, let your Go fetch it (GOTOOLCHAIN=auto make build), or build on another host with \`make packages\`" >&2; exit 1; }

GOFMT = unformatted=$$(gofmt -l cmd internal dashboards deploy); [ -z "$$unformatted" ] || { echo "gofmt -l: $$unformatted"; exit 1; }

# Needs no root, no namespaces and no other program: run it after each change.
check: check-go ## gofmt and the tests that need no lab and no other program; less than a minute
	@$(GOFMT)
	$(GO) test -short ./...

# The packages that take longest come first. The end-to-end tests run alone: they wait for deadlines,
# many at a time. The simulation of months has one goroutine, in which the race detector finds nothing.
test: ## all unit and end-to-end tests; needs root or user namespaces. INSTALL=no installs nothing
	@[ "$(INSTALL)" = no ] || .ci/tools
	$(TEST) -timeout 15m ./internal/web ./internal/journal ./internal/porter ./internal/registration $$($(GO) list ./... | grep -v -e '/e2e$$' -e '/machine/soak$$')
	$(GO) test -timeout 15m ./internal/machine/soak
	$(TEST) -timeout 25m ./internal/e2e
	$(GO) -C dashboards test ./...
	$(GO) -C deploy/compose/schema test ./...
	$(GO) -C deploy/image test ./...
	$(GO) -C deploy/packages test -timeout 25m ./...
	@$(GO) test -v -run '^TestLabIsThere$$' ./internal/lab | sed -n 's/^ *[a-z_]*_test.go:[0-9]*: //p'

# One at a time, since each takes the computer. TestVariantsTarget compares the names.
VARIANTS ?= TestAThousandSleepersAndTheNetwork|TestAThousandSleepersSurviveKill|TestAttackPinsOnTheWire|TestAttackRegistersItself|TestAttackRegistration|TestAttackRegistrationFromManyAddresses|TestAttackRegistrationFromManyHosts|TestAttackSecuredWeb|TestAttackWeb|TestFaultFlood|TestFaultRegistrationFlood
variants: ## floods, attacks and a thousand machines, with the race detector
	$(TEST) -count 1 -timeout 25m -parallel 1 -run '^($(VARIANTS))$$' ./internal/e2e -variants

# One after the other and without the race detector: these tests assert figures, which needs a
# quiet machine.
connections: ## 1000 first connections, 100 external starts, 1000 claimed machines; SEED=n draws others
	$(GO) test -count 1 -timeout 60m -v -run '^TestFirstConnections$$' ./internal/e2e -connections 1000 $(if $(SEED),-seed $(SEED))
	$(GO) test -count 1 -timeout 10m -v -run '^TestExternalStarts$$' ./internal/e2e -connections 100
	$(GO) test -count 1 -timeout 10m -v -run '^TestAThousandSleepersAndTheNetwork$$' ./internal/e2e -soak

# With the race detector and one fault at a time, since each needs the whole host. The flood test
# asserts figures, so it runs without the race detector. The months make garbage and keep little, and
# say which of them passed, since they take more than an hour.
soak: ## the fault tests at full size; SEED=n draws others
	$(TEST) -count 1 -timeout 60m -parallel 1 -v -run '^TestFault' -skip '^TestFaultFlood$$' ./internal/e2e -soak $(if $(SEED),-seed $(SEED))
	$(GO) test -count 1 -timeout 10m -v -run '^TestFaultFlood$$' ./internal/e2e -soak
	$(TEST) -count 1 -timeout 60m -parallel 8 -run '^TestField' ./internal/e2e -soak
	$(TEST) -count 1 -timeout 10m -run '^TestFault' $$($(GO) list ./internal/... | grep -v '/e2e$$')
	GOGC=400 $(GO) test -count 1 -timeout 3h -v -run '^TestMonth$$' ./internal/machine/soak -seeds 1000 -days 30 $(if $(SEED),-first-seed $(SEED))

# Two machines at a time, since each emulates one processor. VM selects tests.
VM ?= ^TestVM
vm: ## tests in Debian virtual machines: suspend, shutdown, boot, packages. Needs root: docs/internals/vm.md
	$(GO) test -count 1 -timeout 1h -p 1 -parallel 2 -v -run '$(VM)' ./internal/vm ./internal/e2e -vm

lint: ## gofmt, go vet, staticcheck, revive, sloglint, misspell
	@$(GOFMT)
	$(GO) vet ./...
	$(GO) -C deploy/compose/schema vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod tidy -diff
	$(GO) -C dashboards vet ./...
	$(GO) -C dashboards run $(STATICCHECK) ./...
	$(GO) -C deploy/image vet ./...
	$(GO) -C deploy/image run $(STATICCHECK) ./...
	$(GO) -C deploy/packages vet ./...
	$(GO) -C deploy/packages run $(STATICCHECK) ./...
	$(GO) run $(REVIVE) -config .ci/revive.toml ./...
	$(GO) run $(SLOGLINT) -kv-only -msg-style lowercased -no-mixed-args -key-naming-case snake ./...
	git ls-files '*.go' '*.md' '*.yaml' '*.html' '*.js' '*.py' '*.service' Makefile .ci | xargs $(GO) run $(MISSPELL) -error -i mosquitto,netwrok

vuln: ## find known vulnerabilities, if the database can be reached
	GO=$(GO) .ci/vuln ./...

# Every fuzz target of every package, for a second or two each. A package is built once, and what
# its targets find is kept where go test keeps it. -test.fuzzminimizetime is short because
# minimizing would take most of the time. FUZZTIME is a number of runs by default, because Go before
# 1.27 may fail at the end of a time (go.dev/issue/75804).
fuzz: ## fuzz each parser; FUZZTIME=2000x runs, or FUZZTIME=5m
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; cache=$$($(GO) env GOCACHE)/fuzz/nightporter; \
	for package in $$(grep -rl --include '*_test.go' '^func Fuzz' internal | xargs -n 1 dirname | sort -u); do \
	  $(GO) test -c -fuzz . -o "$$dir/fuzz.test" "./$$package" || exit 1; \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$package/*_test.go); do \
	    echo "$$package $$target"; \
	    (cd "$$package" && "$$dir/fuzz.test" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
	      -test.fuzzminimizetime 10x -test.fuzzcachedir "$$cache/$$package" </dev/null) || exit 1; \
	  done; \
	done

PREFIX  ?= /usr/local
DESTDIR ?=
PROGRAM ?= nightporter
UNITS   := /etc/systemd/system
EXAMPLE := $(PREFIX)/share/doc/nightporter

# Root should not build, so install does not build.
install: ## install program, unit and configuration on this host, or below DESTDIR
	@[ -e "$(PROGRAM)" ] || { echo "$(PROGRAM) is not there: run \`make build\` first" >&2; exit 1; }
	install -D -m 755 "$(PROGRAM)" "$(DESTDIR)$(PREFIX)/bin/nightporter"
	install -D -m 644 config.example.yaml "$(DESTDIR)$(EXAMPLE)/config.example.yaml"
	install -D -m 644 deploy/systemd/nightporter.service "$(DESTDIR)$(UNITS)/nightporter.service"
	@[ -e "$(DESTDIR)/etc/nightporter/config.yaml" ] || { \
	  mkdir -p "$(DESTDIR)/etc/nightporter" && \
	  echo "# Every key with its default is in $(EXAMPLE)/config.example.yaml." >"$(DESTDIR)/etc/nightporter/config.yaml"; }
	@[ -n "$(DESTDIR)" ] || ! command -v systemctl >/dev/null || systemctl daemon-reload

uninstall: ## remove what install installed; configuration and state stay
	rm -f "$(DESTDIR)$(PREFIX)/bin/nightporter" "$(DESTDIR)$(UNITS)/nightporter.service" "$(DESTDIR)$(EXAMPLE)/config.example.yaml"
	@rmdir "$(DESTDIR)$(EXAMPLE)" 2>/dev/null || true
	@[ -n "$(DESTDIR)" ] || ! command -v systemctl >/dev/null || systemctl daemon-reload

cross: check-go ## build the program for all platforms, into dist/
	@for target in $(TARGETS); do \
	  arch=$${target%/*}; arm=$${target#*/}; name=$$arch; \
	  [ "$$arch" = "$$arm" ] && arm= || name=armv$$arm; \
	  echo "linux/$$name"; \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$arch GOARM=$$arm $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' \
	    -o $(DIST)/nightporter-linux-$$name ./cmd/nightporter || exit 1; \
	done

# A module of its own, so that the daemon does not link its imports. It needs no container engine.
image: cross ## build the container image for these platforms: dist/nightporter-image.tar
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
	  $(GO) -C deploy/image run . -version '$(VERSION)' -revision '$(REVISION)' -out '$(abspath $(DIST))/nightporter-image.tar' \
	  $(addprefix '$(abspath $(DIST))'/nightporter-linux-,$(subst /,v,$(TARGETS)))

# A module of its own, so that the daemon does not link its imports. VERSION is a version or the
# output of git describe.
packages: check-go ## build .deb, .rpm and tarballs for all platforms, into dist/; VERSION=0.2.0 sets the version
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
	  $(GO) -C deploy/packages run . -twice -version '$(VERSION)' -revision '$(REVISION)' -out '$(abspath $(DIST))'

# The programs read KEY, URL and VERSION from the environment, where make puts the variables of its
# command line.
apt-repo: ## build a signed apt repository of dist/*.deb, in dist/apt; KEY=you@example.org URL=https://example.org/apt
	@deploy/packages/apt-repo '$(DIST)' '$(APT)'

release: check-go ## build a release into a fresh dist/; VERSION=0.2.0
	@VERSION='$(VERSION)' deploy/packages/release '$(DIST)'

bench: ## run the benchmarks on this machine
	$(GO) test -run '^$$' -bench . -benchmem ./...

demo: build ## run a demo LAN where a machine sleeps and is woken; KEEP=yes keeps it running
	CGO_ENABLED=0 $(GO) build -trimpath -o nightporter-demo ./cmd/nightporter-demo
	./nightporter-demo $(if $(KEEP),--keep)

# A module of its own, so that the daemon does not link its imports. The files are committed; a
# test fails when they differ from the code.
dashboards: ## write the Grafana dashboards from their Go code
	cd dashboards && $(GO) run .

docs: ## write config.example.yaml and docs/configuration.md from the table of keys
	$(GO) run ./internal/configdoc

ci: ## run everything that continuous integration runs
	.ci/run

clean: ## delete the program and dist/, including an apt repository there
	rm -rf nightporter nightporter-demo dist
