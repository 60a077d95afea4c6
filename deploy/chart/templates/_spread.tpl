{{/* Pods over zones and nodes. Where a pod first stood, its disk is, and it comes back to that zone. */}}
{{- define "switch.spread" -}}
{{- $hard := eq .Values.spread "hard" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" $hard }}
    labelSelector:
      matchLabels: {{- include "switch.serving" . | nindent 8 }}
affinity:
  podAntiAffinity:
    {{- if $hard }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "switch.serving" . | nindent 12 }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- include "switch.serving" . | nindent 14 }}
    {{- end }}
{{- end -}}
