{{/* What the Pod Security Standard "restricted" asks of a pod and of a container. */}}
{{- define "layby.podSecurity" -}}
runAsNonRoot: true
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "layby.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Where a pod runs, and that it gets no token of the cluster. */}}
{{- define "layby.placement" -}}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "layby.podSecurity" . | nindent 2 }}
{{- end }}

{{/* (root, login, prefix): how a container logs in. It gets the secret of its own login alone. */}}
{{- define "layby.login" -}}
- name: NATS_URL
  value: {{ include "layby.url" .root | quote }}
{{- if .root.Values.nats.tls.enabled }}
- name: NATS_CA
  value: /etc/nats-tls/ca.crt
{{- end }}
{{- if eq .root.Values.nats.credentials.kind "file" }}
- name: NATS_CREDS
  value: /etc/nats-creds/{{ .login }}.creds
{{- else }}
- name: NATS_USER
  value: {{ .login }}
- name: NATS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.nats.credentials.secret }}
      key: LAYBY_{{ .login | upper | replace "-" "_" }}_PASSWORD
{{- end }}
- name: NATS_INBOX_PREFIX
  value: _INBOX_{{ .login }}
{{- with .prefix }}
- name: LAYBY_PREFIX
  value: {{ . }}
{{- end }}
{{- end }}

{{/* (root, login): the files that a login needs, and a folder for temporary ones. */}}
{{- define "layby.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .root.Values.nats.tls.enabled }}
- name: authority
  mountPath: /etc/nats-tls
  readOnly: true
{{- end }}
{{- if eq .root.Values.nats.credentials.kind "file" }}
- name: credentials
  mountPath: /etc/nats-creds
  readOnly: true
{{- end }}
{{- end }}

{{- define "layby.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if .root.Values.nats.tls.enabled }}
- name: authority
  secret:
    secretName: {{ .root.Values.nats.tls.secret }}
    items:
      - { key: ca.crt, path: ca.crt }
{{- end }}
{{- if eq .root.Values.nats.credentials.kind "file" }}
- name: credentials
  secret:
    secretName: {{ .root.Values.nats.credentials.secret }}
    items:
      - { key: {{ .login }}.creds, path: {{ .login }}.creds }
{{- end }}
{{- end }}

{{/* (port): where metrics and probes are served. They have no login: the network policy holds. */}}
{{- define "layby.metrics" -}}
- name: LAYBY_METRICS_HOST
  value: 0.0.0.0
- name: LAYBY_METRICS_PORT
  value: {{ .port | quote }}
{{- end }}

{{/* (root, port): the annotations by which a Prometheus without the operator finds a pod. */}}
{{- define "layby.scraped" -}}
{{- $found := ternary (dict "prometheus.io/scrape" "true" "prometheus.io/port" (.port | toString)) dict .root.Values.metrics.annotations }}
{{- with merge $found .root.Values.pod.annotations -}}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* (port, healthz, readyz). A worker without NATS is alive: restarting it would not help. */}}
{{- define "layby.probes" -}}
livenessProbe:
  httpGet: { path: {{ .healthz | default "/healthz" }}, port: {{ .port }} }
  initialDelaySeconds: 15 # the app is imported first
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: { path: {{ .readyz | default "/readyz" }}, port: {{ .port }} }
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/* (root, name, image, login, prefix, args): a pod that runs one command of Layby to its end. */}}
{{- define "layby.job" -}}
{{- include "layby.placement" .root }}
restartPolicy: {{ .restart | default "Never" }}
containers:
  - name: {{ .name }}
    image: {{ include "layby.image" . | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{- toYaml .args | nindent 6 }}
    env: {{- include "layby.login" . | nindent 6 }}
    resources:
      requests: { cpu: 50m, memory: 128Mi }
      limits: { memory: 512Mi }
    securityContext: {{- include "layby.containerSecurity" . | nindent 6 }}
    volumeMounts: {{- include "layby.mounts" . | nindent 6 }}
volumes: {{- include "layby.volumes" . | nindent 2 }}
{{- end }}
