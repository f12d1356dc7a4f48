#!/bin/sh
# Package the chart of a release, which names the image of that release: tools/package.sh IMAGE DIGEST FOLDER
set -eu
cd "$(dirname -- "$0")/.."
image=$1
digest=$2
folder=$3

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R charts/headrace "$copy"
# The first that each of them finds is the operator's; HAProxy's is named already.
sed -i -e "0,/^  repository: headrace\$/s||  repository: $image|" -e "0,/^  digest: \"\"\$/s||  digest: \"$digest\"|" \
    "$copy/headrace/values.yaml"
"${HELM:-helm}" package "$copy/headrace" --destination "$folder"
