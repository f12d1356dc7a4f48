{{/* What pods have in common, and the pod of the edge. */}}

{{- define "headrace.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The token, in a volume of its own, so that only the operator's container can have it. */}}
{{- define "headrace.tokenVolume" -}}
name: token
projected:
  defaultMode: 0440
  sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3600}
    - configMap:
        name: kube-root-ca.crt
        items: [{key: ca.crt, path: ca.crt}]
    - downwardAPI:
        items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]
{{- end -}}

{{- define "headrace.spread" -}}
{{- if .constraints -}}
{{- toYaml .constraints -}}
{{- else -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "headrace.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "headrace.placement" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "headrace.priorityClassName" .root }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat .of.tolerations (.more | default list) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What an administrator has said: settings, and pieces of configuration. */}}
{{- define "headrace.settingsVolumes" -}}
- name: settings
  configMap: {name: {{ include "headrace.fullname" . }}}
{{- if include "headrace.hasOverrides" . }}
- name: overrides
  configMap:
    name: {{ include "headrace.fullname" . }}-overrides
    items:
      {{- with .Values.overrides }}
      {{- if .global }}
      - {key: global.cfg, path: global.cfg}
      {{- end }}
      {{- if .defaults }}
      - {key: defaults.cfg, path: defaults.cfg}
      {{- end }}
      {{- range $name, $_ := .snippets }}
      - {key: snippet.{{ $name }}, path: snippets/{{ $name }}.cfg}
      {{- end }}
      {{- range $name, $_ := .templates }}
      - {key: template.{{ $name }}, path: templates/{{ $name }}}
      {{- end }}
      {{- end }}
{{- end }}
{{- with include "headrace.apiCertificate" . }}
# Pods do not wait for it: until it is there, each shows a certificate of its own.
- name: api-certificate
  secret:
    secretName: {{ . }}
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
    defaultMode: 0440
    optional: true
{{- end }}
{{- end -}}

{{- define "headrace.edgePod" -}}
metadata:
  labels:
    {{- include "headrace.labels" (dict "root" . "component" "edge") | nindent 4 }}
    {{- with .Values.edge.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: operator
    # Settings that need a new process, and overrides; the others are read while it runs.
    headrace.io/restart-hash: {{ include "headrace.restartHash" . | quote }}
    {{- with .Values.edge.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "headrace.fullname" . }}-edge
  automountServiceAccountToken: false
  # Of a pod that drains: its last clients, HAProxy's limit for them, and what it takes to end.
  terminationGracePeriodSeconds: {{ add (int .Values.shutdown.drainSeconds) (int .Values.shutdown.hardStopSeconds) 10 }}
  securityContext:
    {{- include "headrace.podSecurity" . | nindent 4 }}
    # Files and sockets belong to this group, which both containers are in.
    fsGroup: {{ int .Values.haproxy.group }}
    fsGroupChangePolicy: OnRootMismatch
  {{- with include "headrace.placement" (dict "root" . "of" .Values.edge) | trim }}{{ . | nindent 2 }}{{ end }}
  {{- if eq .Values.edge.kind "Deployment" }}
  topologySpreadConstraints:
    {{- include "headrace.spread" (dict "root" . "component" "edge" "constraints" .Values.edge.topologySpreadConstraints) | trim | nindent 4 }}
  {{- end }}
  initContainers:
    -
      {{- include "headrace.checkerContainer" . | nindent 6 }}
  containers:
    -
      {{- include "headrace.operatorContainer" . | nindent 6 }}
    -
      {{- include "headrace.haproxyContainer" . | nindent 6 }}
  volumes:
    {{- include "headrace.settingsVolumes" . | nindent 4 }}
    # In memory: certificates' keys never reach a disk.
    - name: state
      emptyDir: {medium: Memory, sizeLimit: {{ .Values.edge.volumeSize }}}
    - name: sockets
      emptyDir: {medium: Memory, sizeLimit: 8Mi}
    - name: checker
      emptyDir: {sizeLimit: 128Mi}
    - name: tmp
      emptyDir: {medium: Memory, sizeLimit: {{ .Values.edge.volumeSize }}}
    -
      {{- include "headrace.tokenVolume" . | nindent 6 }}
{{- end -}}
