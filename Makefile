# Needs make, bash and the Go that go.mod names; see "make help".

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help test test-deploy build packages image fmt check unit fuzz bench soak vuln peers go clean

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0

# Packages under testdata are code too; "./..." leaves them out.
PACKAGES    := ./... ./testdata/peers ./testdata/secrets ./testdata/scripts ./testdata/machine ./testdata/container ./testdata/program ./testdata/nameserver ./testdata/bench

TEST_TIMEOUT ?= 20m
# For how long each fuzz target runs, and with how many workers.
FUZZTIME     ?= 3s
FUZZWORKERS  ?= 2
# "make build TAGS=openssl" needs a C compiler and libssl-dev.
TAGS         ?=
# What "make image" builds; with docker, podman or buildah, and if this is empty
# with the first that is here.
IMAGE        ?= postseal:latest
BUILDER      ?=
# What "make bench" gives its program ("-h" lists it), and how many messages
# "make soak" sends.
BENCHFLAGS   ?=
SOAK         ?= 500000

# Succeeds where the tag openssl can be compiled.
LIBCRYPTO := [ "$$($(GO) env CGO_ENABLED)" = 1 ] && echo '\#include <openssl/core.h>' | "$$($(GO) env CC)" -E -o /dev/null - 2>/dev/null

help: ## this list
	@echo "make TARGET, where TARGET is one of"
	sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 15

test: go peers check ## install the peers, check the code, run all tests, fuzz a little
	@log=$$(mktemp)
	trap 'rm -f "$$log"' EXIT
	$(MAKE) --no-print-directory unit 2>&1 | tee "$$log"
	$(MAKE) --no-print-directory fuzz
	echo "== the tests once more"
	grep -E '^(ok|FAIL|---|panic)' "$$log"

test-deploy: go ## install more peers, test units, packages, image, pages (some minutes, root)
	@testdata/peers.sh deploy
	umask 022 # the tests hand files to other users
	echo "== go test -tags deploy"
	$(GO) test -tags deploy -count 1 -timeout $(TEST_TIMEOUT) ./deploy/... ./milter/monitor

build: go ## build bin/postseal and bin/milterload
	@mkdir -p bin
	# The version comes from git, which tells root nothing of a user's clone.
	vcs=auto
	git rev-parse HEAD >/dev/null 2>&1 || vcs=false
	# With TAGS=openssl RSA signs on libcrypto, and all else is as without it.
	tags="$(TAGS)"
	cgo=0
	if [[ " $${tags//,/ } " == *" openssl "* ]]; then cgo=1 tags+=",netgo,osusergo"; fi
	CGO_ENABLED=$$cgo $(GO) build -trimpath -buildvcs=$$vcs -tags "$$tags" -o bin/ ./cmd/postseal ./cmd/milterload
	bin/postseal version

packages: go ## build a .deb and a .rpm in bin/packages (VERSION=1.2.3, ARCH=arm64)
	@rm -rf bin/packages # one version
	GO="$(GO)" VERSION="$(VERSION)" deploy/packages/build bin/packages $(ARCH)
	ls -l bin/packages

image: go ## build the container image IMAGE (postseal:latest, ARCH=arm64) with docker, podman or buildah
	@builder="$(BUILDER)"
	if [ -z "$$builder" ]; then
	  for b in docker podman buildah; do
	    # A docker client alone builds nothing.
	    if command -v $$b >/dev/null && { [ $$b != docker ] || docker info >/dev/null 2>&1; }; then
	      builder=$$b
	      break
	    fi
	  done
	fi
	# Podman and buildah leave the health check out of their own format.
	case "$$builder" in
	docker) format= ;;
	podman|buildah) format="--format docker" ;;
	*)
	  echo "no docker (with its daemon), podman or buildah is here to build an image; on Debian: apt-get install buildah" >&2
	  exit 1 ;;
	esac
	vcs=auto
	git rev-parse HEAD >/dev/null 2>&1 || vcs=false
	arch="$(ARCH)"
	arch=$${arch:-$$($(GO) env GOARCH)}
	context=$$(mktemp -d)
	trap 'rm -rf "$$context"' EXIT
	CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -buildvcs=$$vcs -ldflags '-s -w' -o "$$context/postseal" ./cmd/postseal
	mkdir -p "$$context/run/postseal"
	chmod 755 "$$context/postseal" "$$context/run" # whatever the umask is
	chmod 750 "$$context/run/postseal"
	version=$$($(GO) version -m "$$context/postseal" | awk '$$1 == "mod" { print $$3 }')
	"$$builder" build $$format --platform "linux/$$arch" --build-arg "VERSION=$$version" --tag "$(IMAGE)" \
	  --file deploy/docker/Dockerfile "$$context"

fmt: go ## format the code
	@$(GO) fmt $(PACKAGES)

check: go ## gofmt, go vet and staticcheck, each without a complaint
	@echo "== gofmt, go vet, staticcheck"
	files=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .)
	if [ -n "$$files" ]; then
	  echo "not formatted (run make fmt):" $$files >&2
	  exit 1
	fi
	# The tag adds tests, which "make test-deploy" runs, and leaves nothing out.
	$(GO) vet -tags deploy $(PACKAGES)
	# ST1005 wants errors in lower case and without a full stop; ours quote RFCs
	# and tell people what to do.
	$(GO) run $(STATICCHECK) -tags deploy -checks inherit,-ST1005 $(PACKAGES)
	if $(LIBCRYPTO); then
	  $(GO) vet -tags openssl ./keys/...
	  $(GO) run $(STATICCHECK) -tags openssl -checks inherit,-ST1005 ./keys/...
	fi

unit: go ## run all tests, with the race detector where there is a C compiler
	@umask 022 # the tests hand files to other users
	race=-race
	if [ "$$($(GO) env CGO_ENABLED)" != 1 ] || ! command -v "$$($(GO) env CC)" >/dev/null; then
	  race=
	  echo "no C compiler, or CGO_ENABLED=0: the tests run without the race detector"
	  if [ "$${POSTSEAL_REQUIRE_PEERS:-}" = 1 ]; then
	    echo "POSTSEAL_REQUIRE_PEERS=1, so this is a failure" >&2
	    exit 1
	  fi
	fi
	echo "== go test $$race"
	$(GO) test $$race -timeout $(TEST_TIMEOUT) $(PACKAGES)
	echo "== a little of make bench"
	$(GO) run ./testdata/bench -rounds 1 -scale 0.02 -only '2 KB rsa, simple|Postfix' 2>&1
	if ! $(LIBCRYPTO); then
	  echo "no headers of libcrypto 3: nothing is tested with the tag openssl"
	  [ "$${POSTSEAL_REQUIRE_PEERS:-}" != 1 ]
	  exit
	fi
	# The flags reach the programs, too, that tests build.
	echo "== go test -tags openssl"
	GOFLAGS=-tags=openssl $(GO) test -timeout $(TEST_TIMEOUT) ./keys/... ./milter ./milter/dkim ./milter/proof ./milter/sandbox ./cmd/postseal/service

fuzz: go ## run every fuzz target for FUZZTIME (3s)
	@echo "== fuzzing, $(FUZZTIME) a target"
	# "go test -list" prints the targets of a package and then "ok PACKAGE".
	list=$$($(GO) test -list '^Fuzz' ./...)
	ran=0
	while read -r package target; do
	  for try in 1 2 3 4; do
	    out=$$($(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s \
	      -parallel $(FUZZWORKERS) "$$package" 2>&1) && break
	    # Before Go 1.27 the fuzzer may take the end of its own time for a failure
	    # (go.dev/issue/75804): asked again, unless it has found an input.
	    if [ $$try = 4 ] || ! grep -q '^ *context deadline exceeded$$' <<<"$$out" || grep -q 'Failing input' <<<"$$out"; then
	      printf '%s\n' "$$out" >&2
	      echo "fuzz: $$target in $$package failed" >&2
	      exit 1
	    fi
	  done
	  echo "ok  	$$package	$$target"
	  ran=$$((ran + 1))
	done < <(awk '/^Fuzz/ { targets[n++] = $$1 }
	  $$1 == "ok" { for (i = 0; i < n; i++) print $$2, targets[i]; n = 0 }' <<<"$$list")
	# None may be lost between the source and this list.
	want=$$(grep -rh --include='*_test.go' '^func Fuzz' . | wc -l)
	if [ "$$ran" = 0 ] || [ "$$ran" != "$$want" ]; then
	  echo "fuzz: $$ran targets ran, and the source has $$want" >&2
	  exit 1
	fi

bench: go ## measure postseal beside the peers that are installed, and its engine
	@$(GO) run ./testdata/bench $(BENCHFLAGS)
	echo "== the engine, beside the bare operations"
	$(GO) test -run '^$$' -bench . -benchtime 0.2s -count 1 ./milter/dkim

soak: go ## send a daemon SOAK messages (500000) of mixed kinds; nothing may grow
	@$(GO) test ./milter -run '^TestSoak$$' -count 1 -v -timeout 4h -soak $(SOAK)

vuln: go ## look for known vulnerabilities, where the database can be reached
	@out=$$($(GO) run $(GOVULNCHECK) ./... 2>&1) && status=0 || status=$$?
	printf '%s\n' "$$out"
	if [ $$status != 0 ] && grep -qE 'vuln\.go\.dev.*(dial|lookup|connect|timeout|refused|403|Forbidden|certificate)' <<<"$$out"; then
	  echo "the vulnerability database, vuln.go.dev, cannot be reached from here: nothing was checked"
	  exit 0
	fi
	exit $$status

peers:
	@testdata/peers.sh

# Go from 1.21 on fetches by itself the version that go.mod names.
go:
	@want=$$(sed -n 's/^go //p' go.mod)
	# Asked from / because an old Go stumbles over go.mod.
	have=$$(cd / && GOTOOLCHAIN=local $(GO) env GOVERSION 2>/dev/null || true)
	case "$$have" in
	go1.2[1-9]*|go1.[3-9][0-9]*|go[2-9]*|devel*) ;;
	*)
	  echo "postseal needs Go $$want; found: $${have:-no Go}." >&2
	  echo "Get it from https://go.dev/dl/ (unpack go$$want.linux-amd64.tar.gz into /usr/local, then" >&2
	  echo "export PATH=/usr/local/go/bin:\$$PATH), or on Debian from backports, if it is there already:" >&2
	  echo "apt-get install -t \"\$$(. /etc/os-release; echo \$$VERSION_CODENAME)-backports\" golang-go" >&2
	  exit 1 ;;
	esac

clean: ## remove what build made
	@rm -rf bin
