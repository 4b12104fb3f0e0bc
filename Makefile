# nightporter. `make demo` shows what it does, `make test` proves it.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION    := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
VARS        := github.com/prometheus/common/version
LDFLAGS     := -s -w -X $(VARS).Version=$(VERSION) -X $(VARS).Revision=$(REVISION)

# The race detector needs cgo; without a C compiler the tests run without it.
RACE     = $(shell command -v $$($(GO) env CC) >/dev/null 2>&1 && echo -race)
FUZZTIME ?= 2000x

# What make cross builds for, and where what is built for users goes.
TARGETS ?= amd64 arm64 arm/6 arm/7
DIST    ?= dist
APT     ?= $(DIST)/apt

.PHONY: help check-go build install uninstall test variants connections soak vm lint vuln fuzz cross image packages apt-repo release bench demo dashboards docs ci clean

build: check-go ## the program, for this machine
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o nightporter ./cmd/nightporter

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

# Without GOTOOLCHAIN an older Go would fetch a newer one, unasked.
check-go: ## whether there is a Go that is new enough
	@need=$$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod); \
	found=$$(GOTOOLCHAIN=$${GOTOOLCHAIN:-local} $(GO) version 2>/dev/null | sed -n 's/.*go\([0-9][0-9.]*\).*/\1/p'); \
	[ "$$(printf '%s\n' "$$need" "$$found" | sort -V | head -n 1)" = "$$need" ] || { \
	  echo "Go $$need or newer is needed, found $${found:-none}: take it from https://go.dev/dl, let your Go fetch it (GOTOOLCHAIN=auto make build), or build on another host with \`make packages\`" >&2; exit 1; }

test: ## unit and end-to-end tests; these need root or user namespaces. INSTALL=no installs nothing
	@[ "$(INSTALL)" = no ] || .ci/tools
	$(GO) test $(RACE) -timeout 25m ./...
	$(GO) -C dashboards test ./...
	$(GO) -C deploy/compose/schema test ./...
	$(GO) -C deploy/image test ./...
	$(GO) -C deploy/packages test -timeout 25m ./...
	@$(GO) test -v -run '^TestLabIsThere$$' ./internal/lab | sed -n 's/^ *[a-z_]*_test.go:[0-9]*: //p'

# A few at a time, since each takes the computer. TestVariantsTarget compares the names.
variants: ## floods, web attacks and more first connections, with the race detector
	$(GO) test $(RACE) -count 1 -timeout 25m -parallel 4 -run '^(TestAThousandSleepersAndTheNetwork|TestAttackPinsOnTheWire|TestAttackRegistersItself|TestAttackRegistration|TestAttackRegistrationFromManyAddresses|TestAttackRegistrationFromManyHosts|TestAttackSecuredWeb|TestAttackWeb|TestFaultFlood|TestFaultRegistrationFlood|TestFirstConnections)$$' ./internal/e2e -variants -connections 60

# Alone, one after the other and without the race detector: their figures are
# asserted, which wants a quiet machine.
connections: ## 1000 first connections to sleeping machines, 100 external starts, 1000 machines claimed; SEED=n draws others
	$(GO) test -count 1 -timeout 60m -v -run '^TestFirstConnections$$' ./internal/e2e -connections 1000 $(if $(SEED),-seed $(SEED))
	$(GO) test -count 1 -timeout 10m -v -run '^TestExternalStarts$$' ./internal/e2e -connections 100
	$(GO) test -count 1 -timeout 10m -v -run '^TestAThousandSleepersAndTheNetwork$$' ./internal/e2e -soak

# With the race detector, and one fault at a time: they want the machine. The flood goes
# without it, since its figures are asserted.
soak: ## every fault at full size; SEED=n draws others
	$(GO) test $(RACE) -count 1 -timeout 60m -parallel 1 -v -run '^TestFault' -skip '^TestFaultFlood$$' ./internal/e2e -soak $(if $(SEED),-seed $(SEED))
	$(GO) test -count 1 -timeout 10m -v -run '^TestFaultFlood$$' ./internal/e2e -soak
	$(GO) test $(RACE) -count 1 -timeout 60m -parallel 8 -run '^TestField' ./internal/e2e -soak
	$(GO) test $(RACE) -count 1 -timeout 10m -run '^TestFault' ./internal/...
	$(GO) test -count 1 -timeout 3h -run '^TestMonth$$' ./internal/machine/soak -seeds 1000 -days 30 $(if $(SEED),-first-seed $(SEED))

# Two machines at a time, since each emulates one processor.
vm: ## Debian in virtual machines: real suspends, shutdowns and boots, the package on amd64 and arm64. Needs root; docs/internals/vm.md
	$(GO) test -count 1 -timeout 1h -p 1 -parallel 2 -v -run '^TestVM' ./internal/vm ./internal/e2e -vm

lint: ## gofmt, vet, staticcheck
	@unformatted=$$(gofmt -l cmd internal dashboards deploy); if [ -n "$$unformatted" ]; then echo "gofmt -l: $$unformatted"; exit 1; fi
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

vuln: ## known vulnerabilities, where their database can be reached
	GO=$(GO) .ci/vuln ./...

# Every fuzz target of every package, for a second or two each. What is interesting
# is hardly minimised: that would take most of the time. The default is a number of
# runs, because Go before 1.27 may fail where a time ends (go.dev/issue/75804).
fuzz: ## fuzz each parser for FUZZTIME, such as 2000x or 5m
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg || exit 1; \
	  done; \
	done

PREFIX  ?= /usr/local
DESTDIR ?=
PROGRAM ?= nightporter
UNITS   := /etc/systemd/system
EXAMPLE := $(PREFIX)/share/doc/nightporter

# Building is no work for root, so install does not build.
install: ## program, unit and configuration into this host, or below DESTDIR
	@[ -e "$(PROGRAM)" ] || { echo "$(PROGRAM) is not there: run \`make build\` first" >&2; exit 1; }
	install -D -m 755 "$(PROGRAM)" "$(DESTDIR)$(PREFIX)/bin/nightporter"
	install -D -m 644 config.example.yaml "$(DESTDIR)$(EXAMPLE)/config.example.yaml"
	install -D -m 644 deploy/systemd/nightporter.service "$(DESTDIR)$(UNITS)/nightporter.service"
	@[ -e "$(DESTDIR)/etc/nightporter/config.yaml" ] || { \
	  mkdir -p "$(DESTDIR)/etc/nightporter" && \
	  echo "# Every key with its default is in $(EXAMPLE)/config.example.yaml." >"$(DESTDIR)/etc/nightporter/config.yaml"; }
	@[ -n "$(DESTDIR)" ] || ! command -v systemctl >/dev/null || systemctl daemon-reload

uninstall: ## what install put there; configuration and state stay
	rm -f "$(DESTDIR)$(PREFIX)/bin/nightporter" "$(DESTDIR)$(UNITS)/nightporter.service" "$(DESTDIR)$(EXAMPLE)/config.example.yaml"
	@rmdir "$(DESTDIR)$(EXAMPLE)" 2>/dev/null || true
	@[ -n "$(DESTDIR)" ] || ! command -v systemctl >/dev/null || systemctl daemon-reload

cross: check-go ## the program for every platform it is made for, into dist/
	@for target in $(TARGETS); do \
	  arch=$${target%/*}; arm=$${target#*/}; name=$$arch; \
	  [ "$$arch" = "$$arm" ] && arm= || name=armv$$arm; \
	  echo "linux/$$name"; \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$arch GOARM=$$arm $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' \
	    -o $(DIST)/nightporter-linux-$$name ./cmd/nightporter || exit 1; \
	done

# A module of its own: what makes an image stays out of the daemon. It needs no container
# engine.
image: cross ## the container image for these platforms: dist/nightporter-image.tar
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
	  $(GO) -C deploy/image run . -version '$(VERSION)' -revision '$(REVISION)' -out '$(abspath $(DIST))/nightporter-image.tar' \
	  $(addprefix '$(abspath $(DIST))'/nightporter-linux-,$(subst /,v,$(TARGETS)))

# A module of its own: what makes packages stays out of the daemon. VERSION is a version, or
# what git describe prints.
packages: check-go ## .deb, .rpm and tarballs for every platform, into dist/; VERSION=0.2.0 names the version
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
	  $(GO) -C deploy/packages run . -twice -version '$(VERSION)' -revision '$(REVISION)' -out '$(abspath $(DIST))'

# The programs read KEY, URL and VERSION from the environment: make puts there what its
# command line sets.
apt-repo: ## a signed apt repository of dist/*.deb, in dist/apt; KEY=you@example.org URL=https://example.org/apt
	@deploy/packages/apt-repo '$(DIST)' '$(APT)'

release: check-go ## everything for a release, into a fresh dist/; VERSION=0.2.0
	@VERSION='$(VERSION)' deploy/packages/release '$(DIST)'

bench: ## the benchmarks, on this machine, in one run
	$(GO) test -run '^$$' -bench . -benchmem ./...

demo: build ## a LAN with a machine that sleeps and is woken; KEEP=yes keeps it running
	CGO_ENABLED=0 $(GO) build -trimpath -o nightporter-demo ./cmd/nightporter-demo
	./nightporter-demo $(if $(KEEP),--keep)

# A module of its own: what describes dashboards stays out of the daemon. The
# files are committed; its tests fail when they are not what the code says.
dashboards: ## the Grafana dashboards, from their description in Go
	cd dashboards && $(GO) run .

docs: ## docs/configuration.md, from the table of keys
	$(GO) run ./internal/configdoc

ci: ## what continuous integration runs
	.ci/run

clean: ## deletes the program and dist/, also an apt repository there
	rm -rf nightporter nightporter-demo dist
