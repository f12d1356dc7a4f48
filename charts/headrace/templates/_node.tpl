{{/* The pod of the node role: in the host's network, beside another one of its kind while the DaemonSet surges. */}}

{{- define "headrace.nodePod" -}}
metadata:
  labels:
    {{- include "headrace.labels" (dict "root" . "component" "node") | nindent 4 }}
    {{- with .Values.node.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: operator
    headrace.io/restart-hash: {{ include "headrace.restartHash" . | quote }}
    {{- with .Values.node.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "headrace.fullname" . }}-node
  automountServiceAccountToken: false
  hostNetwork: true
  # Cluster DNS may be one of the Services that are served here.
  dnsPolicy: Default
  terminationGracePeriodSeconds: {{ add (int .Values.shutdown.drainSeconds) (int .Values.shutdown.hardStopSeconds) 10 }}
  securityContext:
    seccompProfile: {type: RuntimeDefault}
    fsGroup: {{ int .Values.haproxy.group }}
    fsGroupChangePolicy: OnRootMismatch
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.node.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.node.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.node.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  initContainers:
    -
      {{- include "headrace.checkerContainer" . | nindent 6 }}
  containers:
    -
      {{- include "headrace.nodeOperatorContainer" . | nindent 6 }}
    -
      {{- include "headrace.nodeHaproxyContainer" . | nindent 6 }}
  volumes:
    {{- include "headrace.settingsVolumes" . | nindent 4 }}
    # Each of two pods has a folder of its own in it.
    - name: state
      hostPath: {path: {{ .Values.node.statePath }}, type: DirectoryOrCreate}
    - name: sockets
      emptyDir: {medium: Memory, sizeLimit: 8Mi}
    - name: checker
      emptyDir: {sizeLimit: 128Mi}
    - name: tmp
      emptyDir: {medium: Memory, sizeLimit: {{ .Values.edge.volumeSize }}}
    -
      {{- include "headrace.tokenVolume" . | nindent 6 }}
{{- end -}}

{{- define "headrace.nodeOperatorContainer" -}}
name: operator
image: {{ include "headrace.operatorImage" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - run
  - --source=kube
  - --role=node
  - --instance-slots
  - --supervised
  - --keep-haproxy
  - --config=/etc/headrace/settings.yaml
  {{- if include "headrace.hasOverrides" . }}
  - --overrides=/etc/headrace-overrides
  {{- end }}
  - --state=/var/lib/headrace
  - --sockets=/run/headrace
  - --haproxy=/checker/haproxy
  # The first of four ports, eight apart, as those of HAProxy are.
  - --admin=127.0.0.1:10285
  {{- if include "headrace.api" . }}
  - --api=:10312
  {{- if .Values.api.certificateSecret }}
  - --api-certificate=/etc/headrace-api
  {{- end }}
  {{- end }}
  - --log-format=json
  - --log-level={{ .Values.node.logLevel }}
env:
  {{- include "headrace.podEnvironment" . | nindent 2 }}
  - name: HEADRACE_NODE
    valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
# No ports are declared: the scheduler would keep them from the second pod. Hence probes by commands, too.
startupProbe:
  exec: {command: [headrace, alive, /run/headrace]}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  exec: {command: [headrace, alive, /run/headrace]}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 4
securityContext:
  # The kernel requires NET_ADMIN of a process that changes its tables, and only user 0 keeps a capability when it starts nft.
  runAsUser: 0
  runAsGroup: {{ int .Values.haproxy.group }}
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    add: [NET_ADMIN]
resources:
  {{- toYaml .Values.node.resources | nindent 2 }}
volumeMounts:
  - {name: settings, mountPath: /etc/headrace, readOnly: true}
  {{- if include "headrace.hasOverrides" . }}
  - {name: overrides, mountPath: /etc/headrace-overrides, readOnly: true}
  {{- end }}
  {{- if include "headrace.apiCertificate" . }}
  - {name: api-certificate, mountPath: /etc/headrace-api, readOnly: true}
  {{- end }}
  - {name: state, mountPath: /var/lib/headrace}
  - {name: sockets, mountPath: /run/headrace}
  - {name: checker, mountPath: /checker, readOnly: true}
  - {name: tmp, mountPath: /tmp}
  - {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end -}}

{{- define "headrace.nodeHaproxyContainer" -}}
name: haproxy
image: {{ include "headrace.haproxyImage" . }}
imagePullPolicy: {{ .Values.haproxy.image.pullPolicy }}
command:
  - /bin/sh
  - -euc
  - |
    # The stock image stops by SIGUSR1.
    trap 'exit 0' TERM INT USR1
    # A link to this pod's own folder, which the operator makes.
    until [ -e /run/headrace/state/current/haproxy ]; do sleep 0.1; done
    trap - TERM INT USR1
    exec haproxy -W -db -S /run/headrace/master.sock,mode,660 -f /run/headrace/state/current/haproxy
env:
  - {name: HEADRACE_SOCKETS, value: /run/headrace}
# The operator says so once HAProxy has everything; while it is away that stays said.
readinessProbe:
  exec: {command: [test, -e, /run/headrace/ready]}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
lifecycle:
  preStop:
    exec:
      # The file tells the operator that the pod ends, and not only its own container: the next pod takes over then.
      command: [/bin/sh, -c, 'touch /run/headrace/draining && sleep {{ int .Values.shutdown.drainSeconds }}']
securityContext:
  runAsNonRoot: true
  runAsUser: {{ int .Values.haproxy.user }}
  runAsGroup: {{ int .Values.haproxy.group }}
  {{- include "headrace.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .Values.haproxy.resources | nindent 2 }}
volumeMounts:
  - {name: state, mountPath: /var/lib/headrace, readOnly: true}
  - {name: sockets, mountPath: /run/headrace}
{{- end -}}
