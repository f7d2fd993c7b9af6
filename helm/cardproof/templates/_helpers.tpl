{{- define "cardproof.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 50 characters, so that "-headless" and the like still fit into a label of DNS */}}
{{- define "cardproof.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "cardproof.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "cardproof.baseSelector" -}}
app.kubernetes.io/name: {{ include "cardproof.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cardproof.selector" -}}
{{ include "cardproof.baseSelector" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "cardproof.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "cardproof.baseSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "cardproof.labels" -}}
{{ include "cardproof.commonLabels" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "cardproof.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "cardproof.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* A digest says exactly what runs, so it wins over a tag. */}}
{{- define "cardproof.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "cardproof.maxReplicas" -}}
{{- if .Values.autoscaling.enabled }}{{ int .Values.autoscaling.maxReplicas }}{{ else }}{{ int .Values.replicaCount }}{{ end }}
{{- end }}

{{- define "cardproof.minReplicas" -}}
{{- if .Values.autoscaling.enabled }}{{ int .Values.autoscaling.minReplicas }}{{ else }}{{ int .Values.replicaCount }}{{ end }}
{{- end }}

{{- define "cardproof.grpcPort" -}}
{{ regexFind "[0-9]+$" .Values.config.server.listen }}
{{- end }}

{{- define "cardproof.adminPort" -}}
{{ regexFind "[0-9]+$" .Values.config.server.admin_listen }}
{{- end }}

{{- define "cardproof.tlsSecret" -}}
{{- if .Values.certificate.enabled -}}
{{ default (printf "%s-tls" (include "cardproof.fullname" .)) .Values.certificate.secretName }}
{{- else -}}
{{ .Values.tls.existingSecret }}
{{- end }}
{{- end }}

{{/* Whether the gRPC listener speaks TLS, by whichever way its files come. */}}
{{- define "cardproof.tlsOn" -}}
{{- if or (include "cardproof.tlsSecret" .) (.Values.config.server).tls -}}true{{- end }}
{{- end }}

{{/* Calls are served for the drain delay and finished within the shutdown timeout. */}}
{{- define "cardproof.graceSeconds" -}}
{{- $ms := add (int64 .Values.config.server.drain_delay_ms) (int64 .Values.config.server.shutdown_timeout_ms) }}
{{- add (div (add $ms 999) 1000) (int64 .Values.terminationGraceMarginSeconds) }}
{{- end }}

{{- define "cardproof.remoteProviders" -}}
{{- range $name, $provider := .Values.config.providers }}
{{- if and $provider (not (has (default "" $provider.kind) (list "sandbox" "bin"))) }}{{ if $provider.kind }}{{ $name }} {{ end }}{{ end }}
{{- end }}
{{- end }}

{{/* The name of the Secret that holds one entry of `secrets`: (list $ name entry) */}}
{{- define "cardproof.secretName" -}}
{{- $root := index . 0 }}{{- $name := index . 1 }}{{- $entry := index . 2 -}}
{{- if $entry.existingSecret }}{{ $entry.existingSecret }}{{ else }}{{ include "cardproof.fullname" $root }}-{{ $name | replace "_" "-" }}{{ end }}
{{- end }}

{{- define "cardproof.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: {{ int64 .Values.runAs.user }}
runAsGroup: {{ int64 .Values.runAs.group }}
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "cardproof.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ int64 .Values.runAs.user }}
runAsGroup: {{ int64 .Values.runAs.group }}
fsGroup: {{ int64 .Values.runAs.group }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}
