{{/* The beginning of every name: the release's. */}}
{{- define "layby.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* (root, component): the labels that select its pods. */}}
{{- define "layby.selector" -}}
app.kubernetes.io/name: layby
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "layby.labels" -}}
{{ include "layby.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* (root, image): of Layby, with what the component sets over it. A digest is of one image alone. */}}
{{- define "layby.image" -}}
{{- $own := .image | default dict }}
{{- $image := mergeOverwrite (deepCopy .root.Values.image) $own }}
{{- if or $own.repository $own.tag }}
{{- $_ := set $image "digest" ($own.digest | default "") }}
{{- end }}
{{- $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}
{{- else }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "layby.url" -}}
{{- if .Values.nats.url }}
{{- .Values.nats.url }}
{{- else if .Values.server.enabled }}
{{- printf "%s://%s:4222" (ternary "tls" "nats" .Values.nats.tls.enabled) .Values.server.name }}
{{- else }}
{{- fail "Name a server in nats.url, or set server.enabled for one of the chart's own." }}
{{- end }}
{{- end }}

{{- define "layby.monitoring" -}}
{{- if .Values.server.enabled }}
{{- printf "%s.%s.svc.cluster.local:8222" .Values.server.name .Release.Namespace }}
{{- end }}
{{- end }}
