#!/bin/sh
# Makes requirements.lock, the image's operator/*.lock, tools/clients.lock, tools/go.lock and tools/audit.lock anew, with the
# newest versions that pyproject.toml, tools/build.in and the .in file of each tool allow (`make lock`).
set -eu
cd "$(dirname -- "$0")/.."

uv=.cache/uv/bin/uv
if [ ! -x "$uv" ]; then
    # Not in .venv: that is made from the lock, and so cannot be needed to make it.
    "${PYTHON:-python3}" -m venv .cache/uv
    .cache/uv/bin/pip install -q --disable-pip-version-check uv
fi

# --universal: one lock for every platform and every Python from 3.11 on.
# No header and no index address: the lock has to be the same on each machine.
compile() {
    "$uv" pip compile -q --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links "$@"
}
compile --extra dev --output-file requirements.lock pyproject.toml tools/build.in
compile --no-deps --output-file tools/clients.lock tools/clients.in
compile --no-deps --output-file tools/go.lock tools/go.in
compile --output-file tools/audit.lock tools/audit.in
# The image has what the program needs, in the versions that the tests ran with.
compile --no-annotate --constraint requirements.lock --output-file operator/requirements.lock pyproject.toml
compile --no-annotate --constraint requirements.lock --output-file operator/build.lock tools/build.in
