#!/bin/sh
# Compares all Python packages of the lock files with PyPI's advisories (`make audit`); 1 if one is known to be vulnerable.
# A package of which PyPI says nothing counts as a failure too: pip-audit alone would pass over it.
set -u
cd "$(dirname -- "$0")/.." || exit

if [ -z "${PIP_AUDIT:-}" ]; then
    # Not in .venv, whose packages it judges. A half-made environment has no such file.
    made=.cache/audit/$(cksum <tools/audit.lock | tr ' ' -)
    PIP_AUDIT=$made/bin/pip-audit
    if [ ! -e "$made/ready" ]; then
        rm -rf .cache/audit
        "${PYTHON:-python3}" -m venv "$made" || exit
        "$made/bin/python" -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r tools/audit.lock || exit
        : >"$made/ready"
    fi
fi

failed=0
for lock in requirements.lock operator/requirements.lock operator/build.lock tools/clients.lock tools/go.lock tools/audit.lock; do
    printf 'audit: %s\n' "$lock"
    # The locks are complete, so that nothing has to be resolved.
    "$PIP_AUDIT" --strict --disable-pip --require-hashes --progress-spinner off --requirement "$lock" || failed=1
done
exit "$failed"
