#!/usr/bin/env bash
# Builds the pinned control plane and clients (go.mod beside this file) into build/tools, once.
# A tool is rebuilt only when go.mod or go.sum changed since it was built.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-"$here/../../build/tools"}
mkdir -p "$out"
out=$(cd "$out" && pwd)
stamp=$(cat "$here/go.mod" "$here/go.sum" "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16)

if ! command -v go >/dev/null; then
  echo "build-tools: Go is missing; install Go 1.26 or newer (the control plane is built from source)" >&2
  exit 1
fi

kubernetes=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$here/go.mod")
minor=$(echo "$kubernetes" | cut -d. -f2)
version=k8s.io/component-base/version
# Without the stamp the server calls itself v0.0.0 and Helm's kubeVersion check fails.
ldflags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=$minor"

build() { # name package
  local name=$1 package=$2
  if [ -x "$out/$name" ] && [ "$(cat "$out/.$name.stamp" 2>/dev/null)" = "$stamp" ]; then
    return
  fi
  echo "build-tools: building $name ($package) - minutes the first time, then never again"
  (cd "$here" && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags "$ldflags" -o "$out/$name.new" "$package")
  mv "$out/$name.new" "$out/$name"
  echo "$stamp" >"$out/.$name.stamp"
}

# KUBEBUILDER_ASSETS brings a control plane of its own; helm is then still ours.
if [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
  build etcd go.etcd.io/etcd/server/v3
  build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
  build kubectl k8s.io/kubernetes/cmd/kubectl
fi
build helm helm.sh/helm/v4/cmd/helm
