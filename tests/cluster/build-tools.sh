#!/usr/bin/env bash
# Builds the pinned control plane and clients (go.mod beside this file) into build/tools, or the folder given, once.
# A tool is rebuilt only when the pinned versions or the way it is built have changed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-"$here/../../build/tools"}
mkdir -p "$out"
out=$(cd "$out" && pwd)
fail() {
  echo "build-tools: $*" >&2
  exit 1
}

# Two makes at once must not build the same tool twice; where there is no flock they only waste time.
if command -v flock >/dev/null; then
  exec 9>"$out/.lock"
  flock --nonblock 9 || { echo "build-tools: waiting for another build into $out" >&2; flock 9; }
fi

kubernetes=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$here/go.mod")
minor=$(echo "$kubernetes" | cut -d. -f2)
version=k8s.io/component-base/version
# Without the stamp the server calls itself v0.0.0 and Helm's kubeVersion check fails.
ldflags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=$minor"
stamp=$( (cat "$here/go.mod" "$here/go.sum"; echo "$ldflags") | (sha256sum 2>/dev/null || shasum -a 256) | cut -c1-16)

new=
trap '[ -z "$new" ] || rm -rf "$new"' EXIT

check_go() {
  command -v go >/dev/null || fail "Go is missing; install Go 1.26 or newer (the control plane is built from source)"
  # An older Go fetches what go.mod asks for, unless GOTOOLCHAIN forbids it; then it says so here and not in a minute.
  (cd "$here" && go version >/dev/null) || fail "this Go cannot build what go.mod asks for; install Go 1.26 or newer"
}

package_of() {
  case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    helm) echo helm.sh/helm/v4/cmd/helm ;;
    *) echo "k8s.io/kubernetes/cmd/$1" ;;
  esac
}

# KUBEBUILDER_ASSETS brings a control plane of its own; helm and the controller manager, which it lacks, are then still
# ours.
tools=(helm kube-controller-manager)
if [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
  tools+=(etcd kube-apiserver kubectl)
else
  for name in etcd kube-apiserver kubectl; do
    [ -x "$KUBEBUILDER_ASSETS/$name" ] || fail "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no $name; unset it to build one"
  done
fi

missing=()
packages=()
for name in "${tools[@]}"; do
  if ! [ -x "$out/$name" ] || [ "$(cat "$out/.$name.stamp" 2>/dev/null)" != "$stamp" ]; then
    missing+=("$name")
    packages+=("$(package_of "$name")")
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

check_go
echo "build-tools: building ${missing[*]}; this takes minutes the first time, and is then never done again"
new=$(mktemp -d "$out/.new.XXXXXX")
# One call for all: what they share is then compiled once, and the linking of one overlaps the compiling of the next.
(cd "$here" && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags "$ldflags" -o "$new/" "${packages[@]}" 9>&-) ||
  fail "the tools were not built; Go says why above (the modules are fetched from \$GOPROXY the first time)"
# Go names a binary after the last part of its package's path that is no version.
if [ -e "$new/server" ]; then mv "$new/server" "$new/etcd"; fi
for name in "${missing[@]}"; do
  mv "$new/$name" "$out/$name"
  echo "$stamp" >"$out/.$name.stamp"
done
echo "build-tools: ${missing[*]} are built ($SECONDS s)"
