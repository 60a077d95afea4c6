{{/*
switch.toml from the tree of settings. JSON's strings, numbers, lists and truth are TOML's too.
*/}}
{{- define "switch.toml" -}}
{{- range $name, $table := omit .Values.settings "links" }}
{{- include "switch.table" (dict "head" (printf "[%s]" $name) "path" $name "table" $table) }}
{{- end }}
{{- range $link := .Values.settings.links }}
{{- include "switch.table" (dict "head" "[[links]]" "path" "links" "table" $link) }}
{{- end }}
{{- end -}}

{{/* A table, and the tables in it after its own values. What is null is not there. */}}
{{- define "switch.table" }}
{{ .head }}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{ range $key, $value := .table }}
{{- if kindIs "map" $value }}
{{- $path := printf "%s.%s" $.path $key }}
{{- include "switch.table" (dict "head" (printf "[%s]" $path) "path" $path "table" $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Seconds that a pod may need from SIGTERM to its end, beside preStop: sign-off 2, the longest
answer, 1 to say goodbye, `stop.drain_s`, twice 5 for the database, 1 for the admin port, and 5 to spare.
*/}}
{{- define "switch.drainSeconds" -}}
{{- $longest := 0 -}}
{{- range .Values.settings.links -}}
{{- $longest = max $longest (int (.answer_within_ms | default 250)) -}}
{{- end -}}
{{ add 19 (div (add $longest 999) 1000) (int ((.Values.settings.stop | default dict).drain_s | default 0)) }}
{{- end -}}
