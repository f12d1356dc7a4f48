{{/* The containers of an edge pod. */}}

{{/* Pod Security `restricted`, and nothing to write to but the mounted volumes. */}}
{{- define "headrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* HAProxy's binary with its libraries, for the operator: candidates are judged by the version that will run them. */}}
{{- define "headrace.checkerContainer" -}}
name: checker
image: {{ include "headrace.haproxyImage" . }}
imagePullPolicy: {{ .Values.haproxy.image.pullPolicy }}
command:
  - /bin/sh
  - -euc
  - |
    binary=$(command -v haproxy)
    mkdir -p /checker/lib
    cp "$binary" /checker/haproxy.bin
    # Debian's loader opens it by name when a thread ends; it is in no list of libraries.
    for path in /lib/*/libgcc_s.so.1; do
      if [ -e "$path" ]; then cp -L "$path" /checker/lib/; fi
    done
    ldd "$binary" | while read -r name arrow path rest; do
      case $name in
        /*) cp -L "$name" "/checker/lib/${name##*/}"; echo "${name##*/}" >/checker/loader ;;
        *) case ${path:-} in /*) cp -L "$path" "/checker/lib/$name" ;; esac ;;
      esac
    done
    {
      echo '#!/bin/sh'
      echo "exec /checker/lib/$(cat /checker/loader) --library-path /checker/lib /checker/haproxy.bin \"\$@\""
    } >/checker/haproxy
    chmod 755 /checker/haproxy
    /checker/haproxy -v
securityContext:
  runAsUser: {{ int .Values.haproxy.user }}
  runAsGroup: {{ int .Values.haproxy.group }}
  {{- include "headrace.containerSecurity" . | nindent 2 }}
resources:
  requests: {cpu: 10m, memory: 16Mi}
  limits: {memory: 64Mi}
volumeMounts:
  - {name: checker, mountPath: /checker}
{{- end -}}

{{/* HAProxy: it waits for the first configuration, which the operator writes when it has read everything once. */}}
{{- define "headrace.haproxyContainer" -}}
{{- $ports := include "headrace.ports" . | fromYaml -}}
name: haproxy
image: {{ include "headrace.haproxyImage" . }}
imagePullPolicy: {{ .Values.haproxy.image.pullPolicy }}
command:
  - /bin/sh
  - -euc
  - |
    # The stock image stops by SIGUSR1.
    trap 'exit 0' TERM INT USR1
    until [ -e /var/lib/headrace/current/haproxy ]; do sleep 0.1; done
    trap - TERM INT USR1
    exec haproxy -W -db -S /run/headrace/master.sock,mode,660 -f /var/lib/headrace/current/haproxy
env:
  - {name: HEADRACE_SOCKETS, value: /run/headrace}
ports:
  - name: http
    containerPort: {{ $ports.http }}
    protocol: TCP
    {{- if .Values.edge.hostPorts.enabled }}
    hostPort: {{ int .Values.edge.hostPorts.http }}
    {{- end }}
  - name: https
    containerPort: {{ $ports.https }}
    protocol: TCP
    {{- if .Values.edge.hostPorts.enabled }}
    hostPort: {{ int .Values.edge.hostPorts.https }}
    {{- end }}
  {{- if .Values.settings.http3 }}
  - name: http3
    containerPort: {{ $ports.https }}
    protocol: UDP
    {{- if .Values.edge.hostPorts.enabled }}
    hostPort: {{ int .Values.edge.hostPorts.https }}
    {{- end }}
  {{- end }}
  {{- range include "headrace.tcpPorts" . | fromYamlArray }}
  - name: tcp-{{ int . }}
    containerPort: {{ int . }}
    protocol: TCP
    {{- if $.Values.edge.hostPorts.enabled }}
    hostPort: {{ int . }}
    {{- end }}
  {{- end }}
  - name: health
    containerPort: {{ $ports.health }}
    protocol: TCP
# HAProxy's own: neither a lost API server nor a lost operator makes a pod unready. There is no liveness probe: the
# master ends when its worker dies, and HAProxy has a watchdog of its own.
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
lifecycle:
  preStop:
    exec:
      # The file tells the operator that the pod ends, and not only its own container: it says "not ready" then.
      command: [/bin/sh, -c, 'touch /run/headrace/draining && sleep {{ int .Values.shutdown.drainSeconds }}']
securityContext:
  runAsUser: {{ int .Values.haproxy.user }}
  runAsGroup: {{ int .Values.haproxy.group }}
  {{- include "headrace.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .Values.haproxy.resources | nindent 2 }}
volumeMounts:
  - {name: state, mountPath: /var/lib/headrace, readOnly: true}
  - {name: sockets, mountPath: /run/headrace}
{{- end -}}

{{- define "headrace.operatorContainer" -}}
name: operator
image: {{ include "headrace.operatorImage" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - run
  - --source=kube
  - --role=edge
  - --supervised
  - --keep-haproxy
  - --config=/etc/headrace/settings.yaml
  {{- if include "headrace.hasOverrides" . }}
  - --overrides=/etc/headrace-overrides
  {{- end }}
  - --state=/var/lib/headrace
  - --sockets=/run/headrace
  - --haproxy=/checker/haproxy
  - --admin=:8405
  {{- if include "headrace.api" . }}
  - --api=:8406
  {{- if .Values.api.certificateSecret }}
  - --api-certificate=/etc/headrace-api
  {{- end }}
  {{- end }}
  - --log-format=json
  - --log-level={{ .Values.edge.logLevel }}
env:
  {{- include "headrace.podEnvironment" . | nindent 2 }}
  {{- if include "headrace.topologyHints" . }}
  - name: HEADRACE_NODE
    valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
  {{- end }}
ports:
  - name: admin
    containerPort: 8405
    protocol: TCP
  {{- if include "headrace.api" . }}
  - name: api
    containerPort: 8406
    protocol: TCP
  {{- end }}
# No readiness probe: HAProxy decides. A loop that stands still is started again; HAProxy serves meanwhile.
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 4
securityContext:
  runAsUser: 10001
  runAsGroup: 10001
  {{- include "headrace.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .Values.edge.resources | nindent 2 }}
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

{{/* Who the pod is, for its Lease. */}}
{{- define "headrace.podEnvironment" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- end -}}
