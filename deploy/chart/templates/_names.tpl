{{/* The release's own name; two releases live side by side in a namespace. */}}
{{- define "switch.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the release's pods, those of its Job too. The name is also the alerts' job. */}}
{{- define "switch.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What selects those that serve. */}}
{{- define "switch.serving" -}}
{{ include "switch.selector" . }}
app.kubernetes.io/component: authorization
{{- end -}}

{{- define "switch.labels" -}}
{{ include "switch.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "switch.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The port of an address, host:port. */}}
{{- define "switch.port" -}}
{{ regexFind "[0-9]+$" . }}
{{- end -}}

{{/* What every container of the release is held to: nobody, who can change nothing. */}}
{{- define "switch.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "switch.nobody" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}
