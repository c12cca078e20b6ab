#!/usr/bin/env bash
# Build the program on a checkout of Kubeflow Pipelines, 2.16 or newer: newer.sh PROGRAM.
# TIDEMILL_KFP_SOURCE is the checkout. It is not changed: the module is made in a folder of its own.
set -euo pipefail
source=$(cd "${TIDEMILL_KFP_SOURCE:?names a checkout of kubeflow/pipelines}" && pwd)
program=$(realpath -m "${1:?say where the program goes}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$(dirname "$0")"/*.go "$folder"
cd "$folder"
# Replacements in a module's own file do not count for who requires it, so they are said again.
sed -e 's#^module .*#module tidemill.invalid/kubeflow_go#' -e '/^replace (/,/^)/d' "$source/go.mod" >go.mod
cat >>go.mod <<END
require github.com/kubeflow/pipelines v0.0.0
replace (
	github.com/kubeflow/pipelines => $source
	github.com/kubeflow/pipelines/api => $source/api
	github.com/kubeflow/pipelines/kubernetes_platform => $source/kubernetes_platform
)
END
cp "$source/go.sum" .
GOFLAGS=-mod=mod go mod tidy -e
go build -tags newer -o "$program" .
