#!/usr/bin/env bash
# Installs, from Debian's packages, the programs that the tests measure
# postseal against: other DKIM implementations, Postfix, and the C compiler that
# the race detector links with and the tag openssl compiles with. It installs
# nothing that is there already, starts no service, and leaves a Postfix that this
# machine has as it is.
#
# With the word "deploy" it also installs what "make test-deploy" needs.
#
# POSTSEAL_REQUIRE_PEERS=1 makes a missing program a failure (continuous
# integration); otherwise the tests that need it are skipped.
set -euo pipefail
umask 022 # what packages lay on this machine is for all of its users

packages=(
  gcc libc6-dev               # go test -race
  libssl-dev                  # the build with the tag openssl
  postfix libsasl2-modules    # the MTA, run as a private instance; its clients' logins
  opendkim opendkim-tools openssl  # signs and verifies; opendkim-genkey calls openssl
  miltertest                  # drives a milter
  opendmarc                   # reads our Authentication-Results
  python3-dkim                # signs and verifies
  libmail-dkim-perl           # signs and verifies
  unbound                     # a validating resolver
  bind9 bind9-utils bind9-dnsutils # a name server; named-checkzone, dig and nsupdate
  swaks                       # SMTP client
  util-linux mount iproute2   # unshare, mount and ip, for tests in namespaces
  systemd procps              # run Debian's own opendkim.service, which reloads by /bin/kill
)
services=(postfix opendkim opendmarc unbound bind9) # packages with a service
case "${1:-}" in
"") ;;
deploy)
  packages+=(
    dpkg-dev rpm lintian      # read and judge packages
    buildah                   # builds the container image
    chromium                  # looks at the status page
    prometheus                # promtool judges metrics and alerts
    mandoc man-db             # judge and show man pages
    bash-completion zsh fish  # complete command lines
    bsdextrautils             # col, which takes the boldface out of pages
    jq                        # reads the log as the README does
    haproxy                   # stands between a Postfix and several daemons
  )
  services+=(prometheus haproxy) ;;
*)
  echo "usage: testdata/peers.sh [deploy]" >&2
  exit 64 ;;
esac

required=${POSTSEAL_REQUIRE_PEERS:-}

# cannot WHY: ends the script; a failure only where the peers are required.
cannot() {
  echo "peers: $1" >&2
  echo "peers: missing: ${missing[*]}" >&2
  if [ "$required" = 1 ]; then
    echo "peers: POSTSEAL_REQUIRE_PEERS=1, so this is a failure" >&2
    exit 1
  fi
  echo "peers: the tests that need them are skipped" >&2
  exit 0
}

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=("${packages[@]}")
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  cannot "this is no Debian system: install the like of these packages yourself"
fi
missing=()
for p in "${packages[@]}"; do
  installed "$p" || missing+=("$p")
done
if [ "${#missing[@]}" = 0 ]; then
  echo "peers: all installed"
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  cannot "not root; to have them installed, without a service being started: sudo testdata/peers.sh"
fi

# One run at a time: the lock is on a directory and leaves no file behind.
exec 9</usr/sbin
flock 9

echo "peers: installing ${missing[*]} (no service is started)"

# While this file is there and says 101, maintainer scripts start nothing.
policy=/usr/sbin/policy-rc.d
made_policy=
cleanup() {
  if [ -n "$made_policy" ]; then rm -f "$policy"; fi
}
trap cleanup EXIT
if [ ! -e "$policy" ]; then
  made_policy=1
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
elif "$policy" postfix start >/dev/null 2>&1; then
  cannot "$policy lets services start; it is not ours to change"
fi

export DEBIAN_FRONTEND=noninteractive
fresh=()
for s in "${services[@]}"; do
  installed "$s" || fresh+=("$s")
done
case " ${missing[*]} " in
  *" postfix "*)
    if [ -e /etc/postfix/main.cf ]; then
      echo "peers: keeping /etc/postfix/main.cf as it is"
    fi
    # No /etc/postfix/main.cf is written: the tests bring their own.
    debconf-set-selections <<<'postfix postfix/main_mailer_type select No configuration'
    ;;
esac

# OpenDMARC asks for a database helper; this is the one that does nothing.
case " ${missing[*]} " in
  *" opendmarc "*) installed dbconfig-mysql || missing+=(dbconfig-no-thanks) ;;
esac

apt=(apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
if ! "${apt[@]}" update; then
  cannot "apt-get update failed; see above"
fi
# --no-remove: another mail server on this machine is not thrown out for Postfix.
if ! "${apt[@]}" install --no-install-recommends --no-remove -o Dpkg::Options::=--force-confold "${missing[@]}"; then
  cannot "apt-get could not install them; see above"
fi

# What came in with this run does not start at the next boot either. BIND's unit
# has another name than its package.
if [ "${#fresh[@]}" -gt 0 ] && command -v systemctl >/dev/null; then
  systemctl --quiet disable "${fresh[@]/#bind9/named}" 2>/dev/null || echo "peers: could not disable ${fresh[*]} for the next boot" >&2
fi
echo "peers: installed"
