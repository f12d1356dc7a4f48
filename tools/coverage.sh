#!/bin/sh
# Runs the tests that start no process, and fails unless they run every line and branch of the layers that import-linter
# holds to be pure (`make coverage`).
set -eu
cd "$(dirname -- "$0")/.."
data=${TMPDIR:-/tmp}/headrace-coverage.$$
trap 'rm -f "$data"' EXIT
export COVERAGE_FILE="$data"
.venv/bin/pytest -q -n 2 --dist loadfile tests/unit tests/golden tests/properties \
    tests/security/test_secrets.py tests/security/test_failing_objects.py tests/security/test_budgets.py \
    tests/security/test_annotation_texts.py --cov=headrace --cov-report=
pure=$(.venv/bin/python - <<'END'
import tomllib

contracts = tomllib.load(open('pyproject.toml', 'rb'))['tool']['importlinter']['contracts']
(core,) = [one for one in contracts if one['name'] == 'the core is pure']
paths = [f"operator/{name.replace('.', '/')}" for name in core['source_modules']]
print(','.join(glob for path in paths for glob in (f'{path}.py', f'{path}/*')))
END
)
.venv/bin/coverage report --include="$pure" --fail-under=100
