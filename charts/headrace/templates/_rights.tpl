{{/* A role and its binding, for ServiceAccounts of the release: in one namespace, or ('') in all. */}}
{{- define "headrace.grant" -}}
{{- $kind := ternary "ClusterRole" "Role" (not .namespace) -}}
{{- $base := ternary (include "headrace.clusterName" .root) (include "headrace.fullname" .root) (or (not .namespace) (ne .namespace .root.Release.Namespace)) -}}
{{- $name := printf "%s-%s" $base .name -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "headrace.labels" (dict "root" .root "component" .account) | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "headrace.labels" (dict "root" .root "component" .account) | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name }}
subjects:
  {{- range .accounts | default (include "headrace.accounts" . | fromYamlArray) }}
  - kind: ServiceAccount
    name: {{ include "headrace.fullname" $.root }}-{{ . }}
    namespace: {{ $.root.Release.Namespace }}
  {{- end }}
{{- end -}}

{{/* Of each agent outside of the cluster one account, and of all pods of a role one. */}}
{{- define "headrace.accounts" -}}
{{- $account := .account -}}
{{- $found := list -}}
{{- if eq $account "external" -}}
{{- range .root.Values.external.agents -}}{{- $found = append $found (printf "external-%s" .) -}}{{- end -}}
{{- else -}}
{{- $found = list $account -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- define "headrace.agentRules" -}}
# What to serve: which Services ask for it, and where their endpoints are.
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end -}}

{{/* What is read for Ingresses by one process; IngressClasses are cluster-wide. Nothing with settings.ingress=false. */}}
{{- define "headrace.ingressRules" -}}
{{- if include "headrace.ingress" . }}
# Ingresses, and which classes they can name.
- apiGroups: [networking.k8s.io]
  resources: [ingresses{{ if not .Values.watchNamespaces }}, ingressclasses{{ end }}]
  verbs: [list, watch]
{{- end }}
{{- end -}}

{{/* What is read for Gateways by one process, while the API server has the CRDs. Nothing with settings.gatewayApi=false. */}}
{{- define "headrace.gatewayRules" -}}
{{- if include "headrace.gatewayApi" . }}
# Gateways and what attaches to them.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways, listenersets, httproutes, grpcroutes, tlsroutes, tcproutes, udproutes, referencegrants, backendtlspolicies]
  verbs: [list, watch]
{{- end }}
{{- end -}}

{{- define "headrace.gatewayClassRules" -}}
# Which Gateways are for this class. GatewayClasses are cluster-wide.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [list, watch]
{{- if not .Values.watchNamespaces }}
# The labels by which listeners select the namespaces of routes.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}
{{- end -}}

{{- define "headrace.controllerIngressRules" -}}
{{- include "headrace.ingressRules" . -}}
{{- if include "headrace.ingress" . }}
# status.loadBalancer of Ingresses; nothing else of an Ingress can be written.
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [patch]
{{- end }}
{{- end -}}

{{- define "headrace.controllerGatewayRules" -}}
{{- include "headrace.gatewayRules" . -}}
{{- if include "headrace.gatewayApi" . }}
# Addresses of Gateways, and conditions of listeners and routes; nothing else of them can be written.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways/status, listenersets/status, httproutes/status, grpcroutes/status, tlsroutes/status, tcproutes/status, udproutes/status, backendtlspolicies/status]
  verbs: [patch]
# The endpoints of UDPRoutes.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
{{- end }}
{{- end -}}

{{- define "headrace.controllerGatewayClassRules" -}}
{{ include "headrace.gatewayClassRules" . }}
# Whether a class is accepted, and which features it has.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses/status]
  verbs: [patch]
{{- end -}}

{{- define "headrace.controllerGatewayServiceRules" -}}
# The Services that the controller keeps for Gateways, in this namespace alone; RBAC cannot name labels.
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch, delete]
# The endpoints that it writes for UDP ports of Gateways.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [create, patch, delete]
{{- end -}}

{{- define "headrace.nodeRules" -}}
# The zone of the own Node, for topology hints; the Nodes' addresses, for addressSource node-ports and the node role.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end -}}

{{- define "headrace.secretRules" -}}
# Certificates, and passwords' hashes, that Services of this namespace name. What is listed is what is watched: a
# right that named single Secrets could not follow annotations.
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
{{- end -}}

{{/* For one account: authorities are read by the edge alone. */}}
{{- define "headrace.materialRules" -}}
{{- include "headrace.secretRules" .root -}}
{{- if and (ne .account "node") (or (include "headrace.gatewayApi" .root) .root.Values.settings.allowedResponseHeaders) }}
# Authorities that certificates of clients and of backends are validated against, under ca.crt, and headers of responses.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
{{- end }}
{{- end -}}

{{- define "headrace.agentLeaseRules" -}}
# The pod's own Lease: the epoch it has applied, and diagnostics that only it can know. Of the controllers' Leases, the
# highest epoch that they have written, and which other release holds the class.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update, delete]
{{- end -}}

{{- define "headrace.externalLeaseRules" -}}
{{- $class := .root.Values.settings.class | default "headrace" -}}
# The Lease of this host alone, which is made by PUT, for which RBAC can name it.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ $class }}-edge-{{ .agent }}]
  verbs: [get, create, update, delete]
# The highest epoch that the controllers have written, and which other release holds the class.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ $class }}-controller, {{ $class }}-class-held]
  verbs: [get]
# Its own token, which it renews.
- apiGroups: [""]
  resources: [serviceaccounts/token]
  resourceNames: [{{ include "headrace.fullname" .root }}-external-{{ .agent }}]
  verbs: [create]
{{- end -}}

{{- define "headrace.agentReviewRules" -}}
# Who shows a token at the port of the API, and whether that one may see what is served.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end -}}

{{- define "headrace.dashboardRules" -}}
# The pods of agents, which it asks.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
# What agents tell to those who may see it; no object of the cluster.
- apiGroups: [headrace.io]
  resources: [agents/status]
  verbs: [get]
{{- end -}}

{{- define "headrace.controllerRules" -}}
# Which Services there are.
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
# The condition headrace.io/Programmed, and status.loadBalancer; nothing else of a Service can be written.
- apiGroups: [""]
  resources: [services/status]
  verbs: [patch]
# Tell a Service's owner what is wrong (kubectl describe), and how often it has been so.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [get, create, patch]
{{- end -}}

{{- define "headrace.controllerNodeRules" -}}
# The addresses of Nodes, which settings.statusAddresses asks to publish; which Nodes must have an agent (nodeRole).
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end -}}

{{- define "headrace.controllerHandoverRules" -}}
# The labels and the number by which a Service goes from kube-proxy to the nodes and back; RBAC cannot name fields.
- apiGroups: [""]
  resources: [services]
  verbs: [patch]
{{- end -}}

{{- define "headrace.controllerTaintRules" -}}
# settings.startupTaint goes from a Node whose agent serves; RBAC cannot name fields.
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, patch]
{{- end -}}

{{- define "headrace.controllerClassRules" -}}
# The Lease of the class, by which two releases of it notice each other. No rule can name what is to be created.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [headrace-class-{{ .Values.settings.class | default "headrace" }}]
  verbs: [get, update, delete]
{{- end -}}

{{- define "headrace.controllerLeaseRules" -}}
# The controllers' election, and what the agents tell in their Leases.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, create, update]
{{- end -}}
