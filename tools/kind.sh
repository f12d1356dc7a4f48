#!/bin/sh
# A cluster in Docker with headrace in it, an example, requests, a roll-out, and an uninstall that leaves nothing.
# What it may be told by environment:
#   KIND_CONFIG  the cluster's configuration; kind-config.yaml
#   KEEP         1: leave the cluster as it is after the requests, to try things by hand
set -eu
cd "$(dirname -- "$0")/.."

config=${KIND_CONFIG:-kind-config.yaml}
image=headrace:kind
helm=bin/helm

say() { printf 'kind: %s\n' "$*"; }
stop() {
    printf 'kind: %s\n' "$*" >&2
    exit 1
}

for program in docker kind kubectl curl; do
    command -v $program >/dev/null || stop "$program is missing; it needs docker, kind, kubectl and curl"
done
docker info >/dev/null 2>&1 || stop 'docker does not answer; is its daemon running, and may you use it?'
[ -x "$helm" ] || helm=$(command -v helm) || stop 'helm is missing: run make setup'

say 'building the image'
docker build --quiet --file operator/Dockerfile --tag $image .
docker image inspect --format 'kind: the image has {{.Size}} bytes' $image

kind get clusters 2>/dev/null | grep -qx headrace || kind create cluster --config "$config" --wait 180s
kubectl config use-context kind-headrace
kind load docker-image $image --name headrace

say 'installing'
$helm upgrade --install headrace charts/headrace --namespace headrace-system --create-namespace --wait --timeout 5m \
    --set image.repository=headrace,image.tag=kind,image.pullPolicy=Never \
    --set service.type=NodePort,service.externalTrafficPolicy=Cluster \
    --set service.nodePorts.http=30080,service.nodePorts.https=30443 \
    --set edge.replicas=2,haproxy.maxconn=1000 --set test.enabled=true

asked() { curl --silent --show-error --fail --max-time 5 --header 'Host: hello.example.com' http://127.0.0.1:8080/hostname; }
until_asked() {
    for _ in $(seq 60); do
        asked >/dev/null 2>&1 && return
        sleep 1
    done
    kubectl --namespace headrace-system logs --selector app.kubernetes.io/name=headrace --all-containers --tail 20
    stop 'no answer after a minute'
}

say 'serving the example'
kubectl apply --filename examples/services/http.yaml
kubectl rollout status deployment/hello --timeout 180s
kubectl annotate --overwrite service hello headrace.io/host=hello.example.com
until_asked
$helm test headrace --namespace headrace-system

say 'asking while the example scales and the edge rolls'
lost=$(mktemp)
(
    for _ in $(seq 300); do
        asked >/dev/null 2>>"$lost" || echo lost >>"$lost"
        sleep 0.1
    done
) &
asking=$!
kubectl scale deployment/hello --replicas 5
kubectl rollout status deployment/hello --timeout 180s
kubectl --namespace headrace-system rollout restart deployment/headrace-edge
kubectl --namespace headrace-system rollout status deployment/headrace-edge --timeout 300s
kubectl scale deployment/hello --replicas 2
wait $asking
[ ! -s "$lost" ] || { cat "$lost"; stop 'requests were lost'; }
rm "$lost"
if [ "${KEEP:-}" = 1 ]; then
    say 'the cluster stays; http://127.0.0.1:8080 and https://127.0.0.1:8443 lead to it'
    exit
fi

say 'uninstalling'
$helm uninstall headrace --namespace headrace-system --wait --timeout 10m
# Leases go with the pods and the ServiceAccount that they belong to, which takes some seconds.
for _ in $(seq 60); do
    left=$(kubectl --namespace headrace-system get leases --output name)
    [ -n "$left" ] || break
    sleep 2
done
[ -z "$left" ] || stop "left over: $left"
kubectl get service hello --output yaml | grep 'headrace.io/Programmed' && stop 'a condition is left over'
kind delete cluster --name headrace
say 'done: nothing is left'
