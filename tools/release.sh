#!/bin/sh
# Builds sdist and wheel into dist/, and tries the wheel in a clean environment outside the checkout.
#
#   PYTHON=python3.11 TORCH=cpu sh tools/release.sh .venv/bin/python
#
# The first argument is a Python with hatchling. The wheel is built from the sdist, so an incomplete sdist fails.
set -eu

builder=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/.."
root=$PWD

fail() {
    echo "release: $*" >&2
    exit 1
}

version=$("$builder" -m hatchling version)
grep -Eq "^## $version - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
    fail "CHANGELOG.md has no section '## $version - YYYY-MM-DD'; give the version its date first"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "Building tallycam $version"
rm -rf dist
"$builder" -m hatchling build --target sdist --directory "$work" >/dev/null
tar -xzf "$work/tallycam-$version.tar.gz" -C "$work"
(cd "$work/tallycam-$version" && "$builder" -m hatchling build --target wheel --directory "$work" >/dev/null)
mkdir dist
cp "$work/tallycam-$version.tar.gz" "$work/tallycam-$version"-*.whl dist/
wheel=$(echo "$work/tallycam-$version"-*.whl)

sh tools/install.sh "$work/venv" "$wheel"
tallycam=$work/venv/bin/tallycam

# Away from the checkout, so that nothing is imported from it.
mkdir "$work/away"
cd "$work/away"
cat >street.yaml <<'YAML'
streams:
  street:
    source: synthetic:11
    stop_s: 4
    lines:
      middle: {points: [[0.5, 1.0], [0.5, 0.0]], directions: [right, left]}
output: {video: {preset: ultrafast}}
YAML

echo "Trying the wheel"
[ "$("$tallycam" --version)" = "tallycam $version" ] || fail "tallycam --version does not say $version"
"$tallycam" check street.yaml
"$tallycam" run street.yaml --out out
"$work/venv/bin/python" - <<'PY'
import json
from pathlib import Path

import pipeline

assert "site-packages" in pipeline.__file__, pipeline.__file__
street = json.loads(Path("out/summary.json").read_text())["streams"]["street"]
assert street["frames"]["processed"] >= 90, street["frames"]
assert sum(street["unique"].values()) > 0, street["unique"]
assert Path("out/street.mp4").stat().st_size > 10_000
PY

cd "$root"
echo "tallycam $version: the wheel works in a clean environment"
(cd dist && sha256sum ./*)
echo "To publish: git tag -a v$version -m 'Tallycam $version' && git push origin v$version && twine upload dist/*"
