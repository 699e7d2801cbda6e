#!/usr/bin/env bash
# Shows that the simulation can fail: applies each mutation to src, or those that are named, and demands that an invariant
# breaks. With --check it only asks whether each still applies to src.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" = --check ]; then
  for patch in tests/simulation/mutations/*.patch; do
    git apply --check "$patch" || stale=1
  done
  if [ -n "${stale:-}" ]; then echo "these mutations have to be written again for what src is now" >&2; exit 1; fi
  exit 0
fi
cargo=${CARGO:-cargo}
log=$(mktemp)
applied=
undo() {
  if [ -n "$applied" ]; then git apply --reverse "$applied"; fi
  applied=
}
trap 'undo; rm -f "$log"' EXIT

if ! git diff --quiet -- src; then
  echo "src has changes that are not committed" >&2
  exit 1
fi
survived=0
if [ $# -eq 0 ]; then set -- tests/simulation/mutations/*.patch; fi
for name in "$@"; do
  patch=tests/simulation/mutations/$(basename "$name" .patch).patch
  git apply "$patch"
  applied=$patch
  if ! $cargo test --quiet --locked --package crossinvoke --test simulation --no-run 2>"$log"; then
    cat "$log"
    echo "$patch does not build" >&2
    exit 1
  fi
  run=($cargo test --quiet --locked --package crossinvoke --test simulation --)
  # The quickest first; the seeds find most, and stop at the first.
  case $(basename "$patch") in
    role-*) parts=(roles:) ;;
    *) parts=(fold "seeds --skip roles:" "every --skip roles:") ;;
  esac
  caught="NOT FOUND"
  for part in "${parts[@]}"; do
    # Each is a filter of test names, and perhaps a flag.
    if ! "${run[@]}" $part >"$log" 2>&1; then caught=; break; fi
  done
  if [ -n "$caught" ]; then
    survived=1
  else
    caught=$(grep -o '^\(SEED=[0-9]* \)\?breaks "[^"]*"' "$log" | sort -u | paste -sd ';' - || true)
    caught=${caught:-$(grep -o -m1 'case [0-9]*:' "$log" | sed 's/case/the fold:&/' || true)}
  fi
  printf '%-44s %s\n' "$(basename "$patch" .patch)" "${caught:-fails}"
  undo
done
exit $survived
