#!/bin/sh
# A cluster in Docker with headrace in it: an example by annotation, Ingress, HTTPRoute and the node role, requests while it
# scales, rolls, is upgraded and drained, none of which may be lost, and an uninstall that leaves nothing.
# What it may be told by environment:
#   KIND_CONFIG  the cluster's configuration; kind-config.yaml
#   KIND_IMAGE   the image of the nodes, such as the one of make kind-image; without it, kind's own
#   IMAGE        an image of headrace that Docker has; without it, one is built
#   ARCHIVES     archives with images for the nodes, where they reach no registry for those of HAProxy and of the example
#   GATEWAY_API  the CRDs of the Gateway API: a folder, a file, or an address
#   KEEP         1: leave the cluster as it is after the requests, to try things by hand
set -eu
cd "$(dirname -- "$0")/.."
PATH=$PATH:$PWD/bin/kind:$PWD/bin

config=${KIND_CONFIG:-kind-config.yaml}
image=headrace:kind
next=headrace:kind-next
definitions=${GATEWAY_API:-bin/conformance/crds/standard}
[ -n "${GATEWAY_API:-}" ] || [ -d "$definitions" ] ||
    definitions=https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.3/standard-install.yaml
by_annotation=hello.example.com
by_ingress=ingress.example.com
# That of examples/gateway.yaml.
by_route=shop.example.com
hosts="$by_annotation $by_ingress $by_route"

say() { printf 'kind: %s\n' "$*"; }
stop() {
    printf 'kind: %s\n' "$*" >&2
    exit 1
}

work=$(mktemp -d)
# What runs, if it did not end well.
finish() {
    status=$?
    rm -rf "$work"
    [ $status = 0 ] || ! kubectl config use-context kind-headrace >/dev/null 2>&1 || {
        kubectl get pods --all-namespaces --output wide
        kubectl get events --all-namespaces --field-selector type!=Normal
    } >&2 || true
    exit $status
}
trap finish EXIT

for program in docker kind kubectl helm curl; do
    command -v $program >/dev/null || stop "$program is missing; it needs docker, kind, kubectl, helm (make setup) and curl"
done
docker info >/dev/null 2>&1 || stop 'docker does not answer; is its daemon running, and may you use it?'

if [ -n "${IMAGE:-}" ]; then
    docker tag "$IMAGE" $image
else
    say 'building the image'
    docker build --quiet --file operator/Dockerfile --tag $image .
fi
docker tag $image $next
docker image inspect --format 'kind: the image has {{.Size}} bytes' $image

kind get clusters 2>/dev/null | grep -qx headrace ||
    kind create cluster --config "$config" ${KIND_IMAGE:+--image "$KIND_IMAGE"} --wait 180s
kubectl config use-context kind-headrace
kubectl wait --for=condition=Ready node --all --timeout 180s
nodes=$(kind get nodes --name headrace)
kind load docker-image $image $next --name headrace
for archive in ${ARCHIVES:-}; do
    kind load image-archive "$archive" --name headrace
done

# install IMAGE VALUES: install headrace, or upgrade to what is told here. kind has nothing that gives a Service of type
# LoadBalancer an address, so Gateways are at the edge's own ports.
install() {
    helm upgrade --install headrace charts/headrace --namespace headrace-system --create-namespace --wait --timeout 5m \
        --set "image.repository=${1%:*},image.tag=${1##*:},image.pullPolicy=Never" \
        --set service.type=NodePort,service.externalTrafficPolicy=Cluster \
        --set service.nodePorts.http=30080,service.nodePorts.https=30443 \
        --set settings.gatewaySlots=0 --set edge.replicas=2,test.enabled=true --set "$2"
}

# ask TARGET: a host, from outside; or a node, which asks for the ClusterIP of the example.
ask() {
    case $1 in
    headrace-*) docker exec "$1" curl --silent --show-error --fail --max-time 5 "http://$cluster_ip/hostname" ;;
    *) curl --silent --show-error --fail --max-time 5 --header "Host: $1" http://127.0.0.1:8080/hostname ;;
    esac
}
until_answered() {
    for _ in $(seq 60); do
        ask "$1" >/dev/null 2>&1 && return
        sleep 1
    done
    kubectl --namespace headrace-system logs --selector app.kubernetes.io/name=headrace --all-containers --tail 20
    stop "no answer of $1 after a minute"
}

say 'installing'
install $image haproxy.maxconn=1000
kubectl apply --server-side --filename "$definitions"
kubectl wait --for=condition=Established --timeout 60s crd/gateways.gateway.networking.k8s.io

say 'serving the example'
kubectl apply --filename examples/services/http.yaml
kubectl rollout status deployment/hello --timeout 180s
kubectl annotate --overwrite service hello headrace.io/host=$by_annotation
kubectl apply --filename - <<END
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: hello}
spec:
  ingressClassName: headrace
  rules:
    - host: $by_ingress
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: hello, port: {name: http}}}}
END
cluster_ip=$(kubectl get service hello --output 'jsonpath={.spec.clusterIP}')
sed 's/name: my-service/name: hello/' examples/gateway.yaml | kubectl apply --filename -
for host in $hosts; do until_answered "$host"; done
helm test headrace --namespace headrace-system

# Requests to all targets, from now on until report is called, but not without end.
begin() {
    touch "$work/asking"
    for target; do
        for _ in $(seq 9000); do
            [ -e "$work/asking" ] || break
            if ask "$target" >/dev/null 2>>"$work/errors"; then echo answered; else echo lost; fi >>"$work/$target"
            sleep 0.1
        done &
    done
}
report() {
    rm "$work/asking"
    wait
    for target; do
        say "$target: $(grep -c answered "$work/$target") requests answered, $(grep -c lost "$work/$target" || true) lost"
        rm "$work/$target"
    done
    [ ! -s "$work/errors" ] || {
        sort "$work/errors" | uniq -c
        stop 'requests were lost'
    }
}

say 'asking while the example scales, all of headrace is rolled and upgraded, and a node is drained'
# shellcheck disable=SC2086
begin $hosts $nodes
kubectl scale deployment/hello --replicas 5
kubectl rollout status deployment/hello --timeout 180s
kubectl --namespace headrace-system rollout restart deployment/headrace-edge
kubectl --namespace headrace-system rollout status deployment/headrace-edge --timeout 300s
install $next haproxy.maxconn=1200,node.enabled=true
kubectl annotate --overwrite service hello headrace.io/proxy=node
kubectl wait --for=jsonpath='{.metadata.labels.service\.kubernetes\.io/service-proxy-name}'=headrace service/hello
kubectl --namespace headrace-system rollout restart daemonset/headrace-node
kubectl --namespace headrace-system rollout status daemonset/headrace-node --timeout 300s
kubectl drain headrace-worker --ignore-daemonsets --delete-emptydir-data --timeout 180s
kubectl uncordon headrace-worker
kubectl scale deployment/hello --replicas 2
kubectl rollout status deployment/hello --timeout 180s
sleep 10
# shellcheck disable=SC2086
report $hosts $nodes
if [ "${KEEP:-}" = 1 ]; then
    say 'the cluster stays; http://127.0.0.1:8080 and https://127.0.0.1:8443 lead to it'
    exit
fi

say 'uninstalling, while kube-proxy takes over what the nodes ask for'
# shellcheck disable=SC2086
begin $nodes
helm uninstall headrace --namespace headrace-system --wait --timeout 10m
# Leases go with the pods and the ServiceAccount that they belong to, which takes some seconds.
for _ in $(seq 60); do
    left=$(kubectl --namespace headrace-system get leases --output name)
    [ -n "$left" ] || break
    sleep 2
done
[ -z "$left" ] || stop "left over: $left"
# shellcheck disable=SC2086
report $nodes
kubectl get service hello --output yaml | grep 'service-proxy-name' && stop 'a label is left over'
kubectl get service,ingress,gatewayclass,gateway,httproute --output 'jsonpath={.items[*].status}' | grep headrace &&
    stop 'a status is left over'
for node in $nodes; do
    docker exec "$node" nft list tables | grep 'inet headrace' && stop "a table is left over on $node"
done
kind delete cluster --name headrace
say 'done: nothing is left'
