#!/usr/bin/env bash
# Checks the dependencies with cargo-deny where it is installed, and says which checks ran.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! cargo deny --version >/dev/null 2>&1; then
  echo "lint: cargo-deny is not installed: bans, licenses, sources and advisories did not run (cargo install cargo-deny --locked)"
  exit 0
fi
cargo deny --workspace --locked check bans licenses sources
echo "lint: cargo deny ran bans, licenses, sources"
# Only a reachable database can say that a crate is unsafe; without it that is not known, which is no failure of ours.
if cargo deny --workspace --locked fetch db >/dev/null 2>&1; then
  cargo deny --workspace --locked check --disable-fetch advisories
  echo "lint: cargo deny ran advisories"
else
  echo "lint: the advisory database cannot be reached: advisories did not run"
fi
