#!/usr/bin/env bash
# Lints the chart and renders it, as a cluster would get it and with the notes that helm prints, for the value sets beside
# this file; writes *.golden.yaml and *.golden.txt. With --check it only compares. What the API server makes of the
# rendered objects, and what helm refuses, is in tests/scenarios/installing.
set -euo pipefail

helm=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") mode=${2:-write}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
chart=$here/../../charts/crossinvoke
rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
fail() { echo "chart: $*" >&2; exit 1; }

sets=(required all-values namespaced)
for name in "${sets[@]}"; do
  "$helm" lint --strict --quiet "$chart" --values "$here/$name.yaml"
  # The CRDs have goldens of their own in crds/.
  values=(--namespace crossinvoke-system --values "$here/$name.yaml" --set crds.install=false)
  "$helm" template crossinvoke "$chart" "${values[@]}" >"$rendered/$name.golden.yaml"
  "$helm" install crossinvoke "$chart" "${values[@]}" --dry-run=client 2>&1 | sed '1,/^NOTES:$/d' >"$rendered/$name.golden.txt"
done
for golden in "$rendered"/*; do
  file=$(basename "$golden")
  if [ "$mode" = --check ]; then
    diff -u "$here/$file" "$golden" || fail "$file changed; if that is meant, run make goldens"
  else
    cp "$golden" "$here/$file"
  fi
done

# Every CRD of the chart is installed, and stays when the release goes: with it every object would go.
expected=$(find "$chart/files/crds" -name '*.yaml' | wc -l)
"$helm" template crossinvoke "$chart" --values "$here/required.yaml" --show-only templates/crds.yaml >"$rendered/crds"
kept=$(grep -c '^    helm.sh/resource-policy: keep$' "$rendered/crds" || true)
[ "$kept" = "$expected" ] || fail "$kept of $expected CRDs are kept when the release is removed"

# The image that is run by default is the one of this version.
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"$/\1/p' "$here/../../Cargo.toml")
grep -qx "appVersion: $version" "$chart/Chart.yaml" || fail "the appVersion of Chart.yaml is not the version $version of Cargo.toml"
