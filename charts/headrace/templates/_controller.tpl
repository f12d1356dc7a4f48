{{/* The labels of the edge's pods, as the controller is given them. */}}
{{- define "headrace.edgeSelector" -}}
{{- $labels := include "headrace.selector" (dict "root" . "component" "edge") | fromYaml -}}
{{- $pairs := list -}}
{{- range $name, $value := $labels -}}{{- $pairs = append $pairs (printf "%s=%s" $name $value) -}}{{- end -}}
--edge-selector={{ join "," $pairs }}
{{- end -}}

{{/* The pod that has the controller's rights: of its Deployment, and of the hook before an uninstall. */}}
{{- define "headrace.controllerPod" -}}
{{- $root := .root -}}
serviceAccountName: {{ include "headrace.fullname" $root }}-controller
automountServiceAccountToken: false
securityContext:
  {{- include "headrace.podSecurity" $root | nindent 2 }}
  fsGroup: 10001
{{- $more := list }}
{{- with $root.Values.settings.startupTaint }}
{{- /* It is the controller that takes the taint from Nodes, and all of them may have it. */}}
{{- $more = list (dict "key" . "operator" "Exists") }}
{{- end }}
{{- with include "headrace.placement" (dict "root" $root "of" $root.Values.controller "more" $more) | trim }}{{ . | nindent 0 }}{{ end }}
containers:
  # No probes: it serves no clients, the supervisor starts it again when it ends, and when it hangs, its Lease
  # runs out and the other one leads.
  - name: controller
    image: {{ include "headrace.operatorImage" $root }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args:
      {{- range .args }}
      - {{ . }}
      {{- end }}
    env:
      {{- include "headrace.podEnvironment" $root | nindent 6 }}
    securityContext:
      runAsUser: 10001
      runAsGroup: 10001
      {{- include "headrace.containerSecurity" $root | nindent 6 }}
    resources:
      {{- toYaml $root.Values.controller.resources | nindent 6 }}
    volumeMounts:
      - {name: settings, mountPath: /etc/headrace, readOnly: true}
      - {name: tmp, mountPath: /tmp}
      - {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
volumes:
  - name: settings
    configMap: {name: {{ include "headrace.fullname" $root }}}
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 16Mi}
  -
    {{- include "headrace.tokenVolume" $root | nindent 4 }}
{{- end -}}
