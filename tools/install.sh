#!/bin/sh
# Makes a virtual environment and installs into it, everything resolved at once.
#
#   PYTHON=python3.11 TORCH=cpu sh tools/install.sh .venv -e . [--group dev]
#
# uv does it in a minute; pip takes over where uv cannot be had.
set -eu

venv=$1
python=${PYTHON:-python3}
shift

fail() {
    echo "install: $*" >&2
    exit 1
}

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "found no Python; install Python 3.11 or 3.12 (Debian: apt install python3 python3-venv)"
case $version in
3.11 | 3.12) ;;
*) fail "$python is Python $version, Tallycam needs 3.11 or 3.12; name one: make PYTHON=/path/to/python3.11" ;;
esac

if ! [ -x "$venv/bin/python" ]; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module (Debian: apt install python$version-venv)"
    echo "Making $venv with Python $version"
    "$python" -m venv "$venv" || fail "could not make $venv"
fi

echo "Installing into $venv (a few minutes the first time, most of it PyTorch)"
"$venv/bin/python" -m pip install --quiet --upgrade "pip>=25.1" # older ones do not know --group

# The build of PyTorch without CUDA, from its own index; everything else still comes from the usual place.
index=
if [ "${TORCH:-}" = cpu ]; then
    index="--extra-index-url https://download.pytorch.org/whl/cpu"
fi

if "$venv/bin/python" -m pip install --quiet uv; then
    # shellcheck disable=SC2086  # no words when empty
    "$venv/bin/uv" pip install --compile-bytecode --python "$venv/bin/python" \
        ${index:+$index --index-strategy unsafe-best-match} "$@" && exit 0
    echo "uv could not install; trying pip"
fi
# shellcheck disable=SC2086
"$venv/bin/python" -m pip install $index "$@"
