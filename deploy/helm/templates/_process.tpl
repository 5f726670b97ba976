{{/* (root, name, kind, settings): a Deployment of `layby worker` or `layby notify`. */}}
{{- define "layby.process" -}}
{{- $settings := .settings }}
{{- $login := dict "root" .root "login" $settings.login }}
{{- $about := dict "root" .root "component" .name }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "layby.name" .root }}-{{ .name }}
  labels: {{- include "layby.labels" $about | nindent 4 }}
spec:
  {{- if not (dig "scaling" "enabled" false $settings) }}
  replicas: {{ $settings.replicas }}
  {{- end }}{{/* with scaling the number is KEDA's */}}
  strategy:
    type: {{ $settings.strategy }}
    {{- if eq $settings.strategy "RollingUpdate" }}
    rollingUpdate: { maxSurge: 25%, maxUnavailable: 25% } # set, or nobody could go back to Recreate
    {{- end }}
  selector:
    matchLabels: {{- include "layby.selector" $about | nindent 6 }}
  template:
    metadata:
      labels: {{- include "layby.selector" $about | nindent 8 }}
      {{- include "layby.scraped" (dict "root" .root "port" 9464) | nindent 6 }}
    spec:
      {{- include "layby.placement" .root | nindent 6 }}
      terminationGracePeriodSeconds: {{ $settings.drainSeconds }}
      containers:
        - name: {{ .name }}
          image: {{ include "layby.image" (dict "root" .root "image" $settings.image) | quote }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args:
            - {{ .kind }}
            - {{ required (printf "Say which app %s runs: app: module:attribute" .name) $settings.app | quote }}
            - --json
            - --name
            - $(POD_NAME)
            {{- range $settings.args }}
            - {{ . | quote }}
            {{- end }}
          env:
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
            {{- include "layby.metrics" (dict "port" 9464) | nindent 12 }}
            {{- include "layby.login" $login | nindent 12 }}
            {{- with $settings.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with $settings.envFrom }}
          envFrom: {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - name: metrics
              containerPort: 9464
          {{- include "layby.probes" (dict "port" "metrics") | nindent 10 }}
          resources: {{- toYaml $settings.resources | nindent 12 }}
          securityContext: {{- include "layby.containerSecurity" . | nindent 12 }}
          volumeMounts:
            {{- include "layby.mounts" $login | nindent 12 }}
            - name: data
              mountPath: /data
      volumes:
        {{- include "layby.volumes" $login | nindent 8 }}
        - name: data # of this pod alone, and gone with it
          emptyDir: {}
{{- if $settings.disruptionBudget }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "layby.name" .root }}-{{ .name }}
  labels: {{- include "layby.labels" $about | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "layby.selector" $about | nindent 6 }}
{{- end }}
{{- end }}
