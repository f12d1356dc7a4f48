{{/* What follows from the values: the settings of the class, and lists that several templates need. */}}

{{/* The namespaces whose Secrets may be read, as a YAML list. */}}
{{- define "headrace.secretNamespaces" -}}
{{- .Values.secrets.namespaces | default (list .Release.Namespace) | uniq | toYaml -}}
{{- end -}}

{{/* Whether the pods know their Node, and may read Nodes to learn its zone: "true" or nothing. */}}
{{- define "headrace.topologyHints" -}}
{{- if and .Values.edge.topologyHints (not .Values.watchNamespaces) -}}true{{- end -}}
{{- end -}}

{{/* Whether Ingresses are served: "true" or nothing. */}}
{{- define "headrace.ingress" -}}
{{- if not (and (hasKey .Values.settings "ingress") (not .Values.settings.ingress)) -}}true{{- end -}}
{{- end -}}

{{/* Whether resources of the Gateway API are served: "true" or nothing. */}}
{{- define "headrace.gatewayApi" -}}
{{- if not (and (hasKey .Values.settings "gatewayApi") (not .Values.settings.gatewayApi)) -}}true{{- end -}}
{{- end -}}

{{/* Whether there are agents of the node role, of this release or by other means: "true" or nothing. */}}
{{- define "headrace.nodeRole" -}}
{{- if or .Values.node.enabled .Values.settings.nodeRole -}}true{{- end -}}
{{- end -}}

{{/* Whether agents serve their pages to those who show a token: "true" or nothing. Judging tokens is a cluster-wide right. */}}
{{- define "headrace.api" -}}
{{- if and .Values.api.enabled (not .Values.watchNamespaces) -}}true{{- end -}}
{{- end -}}

{{/* The Secret with the certificate of that port, '' for none. */}}
{{- define "headrace.apiCertificate" -}}
{{- if include "headrace.api" . -}}{{- .Values.api.certificateSecret -}}{{- end -}}
{{- end -}}

{{/* Whether the edge has a Service: "true" or nothing. */}}
{{- define "headrace.hasService" -}}
{{- if and .Values.edge.enabled .Values.service.enabled -}}true{{- end -}}
{{- end -}}

{{/* The ports of settings.tcpPorts one by one, as a YAML list of numbers. */}}
{{- define "headrace.tcpPorts" -}}
{{- $found := list -}}
{{- range $part := splitList "," (.Values.settings.tcpPorts | default "") -}}
{{- if $part -}}
{{- $ends := splitList "-" $part -}}
{{- $first := int (first $ends) -}}
{{- $last := int (last $ends) -}}
{{- if gt (add (len $found) (sub $last $first)) 500 -}}
{{- fail "settings.tcpPorts: a Service, or host ports, can list 500 ports at most; set service.enabled=false and edge.hostPorts.enabled=false, and bring a way to the pods of your own" -}}
{{- end -}}
{{- range untilStep $first (int (add1 $last)) 1 -}}
{{- $found = append $found . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | toYaml -}}
{{- end -}}

{{/* The settings of the class, as the file has them. */}}
{{- define "headrace.settings" -}}
{{- $own := deepCopy .Values.settings -}}
{{- $_ := set $own "maxconn" (int .Values.haproxy.maxconn) -}}
{{- $_ := set $own "threads" (int .Values.haproxy.threads) -}}
{{- $_ := set $own "fileDescriptors" (int .Values.haproxy.fileDescriptors) -}}
{{- $_ := set $own "drainDelay" (printf "%ds" (int .Values.shutdown.drainSeconds)) -}}
{{- $_ := set $own "hardStopAfter" (printf "%ds" (int .Values.shutdown.hardStopSeconds)) -}}
{{- $_ := set $own "namespaces" .Values.watchNamespaces -}}
{{- $_ := set $own "secrets" (merge (dict "namespaces" (include "headrace.secretNamespaces" . | fromYamlArray)) ($own.secrets | default dict)) -}}
{{- if and (include "headrace.hasService" .) .Values.service.publish (not (hasKey $own "statusAddresses")) -}}
{{- if or (not .Values.watchNamespaces) (has .Release.Namespace .Values.watchNamespaces) -}}
{{- $_ := set $own "statusAddresses" (list (printf "service:%s/%s" .Release.Namespace (include "headrace.fullname" .))) -}}
{{- end -}}
{{- end -}}
{{- if include "headrace.nodeRole" . -}}
{{- $_ := set $own "nodeRole" true -}}
{{- end -}}
{{- if not (hasKey $own "httpsPublicPort") -}}
{{- $_ := set $own "httpsPublicPort" (ternary (int .Values.edge.hostPorts.https) (int .Values.service.https) (and .Values.edge.hostPorts.enabled (not .Values.service.enabled))) -}}
{{- end -}}
{{- toYaml $own -}}
{{- end -}}

{{/* What of it needs a new process: the pods carry its hash, and roll when it changes. */}}
{{- define "headrace.restartHash" -}}
{{- $all := include "headrace.settings" . | fromYaml -}}
{{- $kept := dict -}}
{{- range $key := list "addressPools" "class" "gatewayServiceAnnotations" "allowedResponseHeaders" "gatewayApi" "ingress" "ingressStatus" "maxAnnotationBytesPerNamespace" "secrets" "namespaces" "statusAddresses" "statusWritesPerSecond" "threads" "sweepInterval" "watchSilence" "serviceMetrics" "nodeRole" "startupTaint" "nodeHttpPort" "nodeTcpPort" "nodeTlsPort" "nodeHealthPort" "nodeHealthzPort" "podNetworks" "serviceNetworks" "tableInterval" -}}
{{- $_ := set $kept $key (hasKey $all $key | ternary (index $all $key) "") -}}
{{- end -}}
{{- toJson (list $kept $.Values.overrides) | sha256sum | trunc 16 -}}
{{- end -}}

{{- define "headrace.hasOverrides" -}}
{{- with .Values.overrides -}}{{- if or .global .defaults .snippets .templates -}}true{{- end -}}{{- end -}}
{{- end -}}

{{/* Names of ports as Kubernetes allows them, from the settings' numbers. */}}
{{- define "headrace.ports" -}}
http: {{ int (.Values.settings.httpPort | default 8080) }}
https: {{ int (.Values.settings.httpsPort | default 8443) }}
health: {{ int (.Values.settings.healthPort | default 8404) }}
admin: 8405
api: 8406
{{- end -}}

{{/* By which the dashboard is served: TLS wherever users send it tokens. */}}
{{- define "headrace.dashboardScheme" -}}
{{- if or (eq .Values.dashboard.auth "token") .Values.dashboard.certificateSecret -}}HTTPS{{- else -}}HTTP{{- end -}}
{{- end -}}

{{/* Refuse what cannot work, in the values' own words. */}}
{{- define "headrace.judge" -}}
{{- if and .Values.dashboard.enabled (not (include "headrace.api" .)) -}}
{{- fail "dashboard.enabled asks agents at the port of their API: leave api.enabled and watchNamespaces as they are by default" -}}
{{- end -}}
{{- if and .Values.dashboard.enabled (ne (ne .Values.dashboard.auth "token") (not (empty .Values.dashboard.trustedProxies))) -}}
{{- fail "dashboard.auth=header:NAME and dashboard.trustedProxies need each other" -}}
{{- end -}}
{{- if and .Values.node.enabled .Values.watchNamespaces -}}
{{- fail "node.enabled reads Nodes, which is a cluster-wide right; leave watchNamespaces empty" -}}
{{- end -}}
{{- if and .Values.watchNamespaces .Values.settings.nodeRole -}}
{{- fail "settings.nodeRole reads Nodes, which is a cluster-wide right; leave watchNamespaces empty" -}}
{{- end -}}
{{- if and .Values.node.enabled (hasKey .Values.settings "nodeRole") (not .Values.settings.nodeRole) -}}
{{- fail "settings.nodeRole=false: with node.enabled the controller hands Services over; leave it out" -}}
{{- end -}}
{{- if and .Values.watchNamespaces (eq (.Values.settings.addressSource | default "endpoints") "node-ports") -}}
{{- fail "settings.addressSource=node-ports reads Nodes, which is a cluster-wide right; leave watchNamespaces empty" -}}
{{- end -}}
{{- if and .Values.watchNamespaces (has "nodes" (.Values.settings.statusAddresses | default list)) -}}
{{- fail "settings.statusAddresses: `nodes` reads Nodes, which is a cluster-wide right; leave watchNamespaces empty" -}}
{{- end -}}
{{- if and .Values.settings.startupTaint (not (include "headrace.nodeRole" .)) -}}
{{- fail "settings.startupTaint needs node.enabled: only the node role lets the taint be removed" -}}
{{- end -}}
{{- if not (or .Values.edge.enabled .Values.external.agents (include "headrace.nodeRole" .)) -}}
{{- fail "edge.enabled=false needs node.enabled or external.agents: nothing would serve" -}}
{{- end -}}
{{- if and .Values.edge.autoscaling.enabled (ne .Values.edge.kind "Deployment") -}}
{{- fail "edge.autoscaling needs edge.kind=Deployment" -}}
{{- end -}}
{{- $slots := ternary (int (dig "gatewaySlots" 64 .Values.settings)) 0 (eq (include "headrace.gatewayApi" .) "true") -}}
{{- if lt (int .Values.haproxy.fileDescriptors) (int (add (mul 4 .Values.haproxy.maxconn) (mul 8 $slots) 200)) -}}
{{- fail "haproxy.fileDescriptors: four for each of haproxy.maxconn, eight for each of settings.gatewaySlots, and 200 besides, are the least" -}}
{{- end -}}
{{- $own := include "headrace.ports" . | fromYaml | values -}}
{{- if ne (len $own) (len (uniq $own)) -}}
{{- fail "settings.httpPort, httpsPort and healthPort must differ, and none can be 8405 or 8406, which the operator's container has" -}}
{{- end -}}
{{- range $port := include "headrace.tcpPorts" . | fromYamlArray -}}
{{- if has $port $own -}}
{{- fail (printf "settings.tcpPorts: %d is a port of headrace's own" (int $port)) -}}
{{- end -}}
{{- if and $.Values.service.enabled (has (int $port) (list (int $.Values.service.http) (int $.Values.service.https))) -}}
{{- fail (printf "settings.tcpPorts: %d is service.http or service.https too" (int $port)) -}}
{{- end -}}
{{- if and $.Values.edge.hostPorts.enabled (has (int $port) (list (int $.Values.edge.hostPorts.http) (int $.Values.edge.hostPorts.https))) -}}
{{- fail (printf "settings.tcpPorts: %d is edge.hostPorts.http or https too" (int $port)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
