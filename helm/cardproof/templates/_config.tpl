{{/*
The configuration: `config` of the values, with what the chart knows better.

`toToml` is not used: numbers of a values file are floating point to it, so that 5000 becomes
5000.0, which is no whole number to TOML. JSON writes them right, and its strings, numbers,
booleans and lists are valid TOML too.
*/}}
{{- define "cardproof.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if not (hasKey $config.server "replicas") }}
{{- $_ := set $config.server "replicas" (include "cardproof.maxReplicas" . | int) }}
{{- end }}
{{- if include "cardproof.tlsSecret" . }}
{{- $tls := dict "cert_file" "/etc/cardproof/tls/tls.crt" "key_file" "/etc/cardproof/tls/tls.key" }}
{{- if .Values.tls.clientCa }}{{ $_ := set $tls "client_ca_file" "/etc/cardproof/tls/ca.crt" }}{{ end }}
{{- $_ := set $config.server "tls" (mergeOverwrite $tls (default dict $config.server.tls)) }}
{{- end }}
{{- include "cardproof.toml" (dict "path" "" "table" $config) | trim }}
{{ end }}

{{/* A table as TOML: its own values first, because everything after a header belongs to it. */}}
{{- define "cardproof.toml" -}}
{{- $path := .path }}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "invalid" $value) (kindIs "map" $value)) }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- if kindIs "map" $value }}
{{- $inner := ternary $key (printf "%s.%s" $path $key) (eq $path "") }}
{{- $own := empty $value }}
{{- range $value }}{{ if not (kindIs "map" .) }}{{ $own = true }}{{ end }}{{ end }}
{{- if $own }}

[{{ $inner }}]
{{- end }}
{{- include "cardproof.toml" (dict "path" $inner "table" $value) }}
{{- end }}
{{- end }}
{{- end }}
