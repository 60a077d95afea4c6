{{/*
The pod of one command that needs the database alone: `args`, `component`, `database`, `memory`.
Its settings are the defaults: before the first install there is no file.
*/}}
{{- define "switch.command" -}}
metadata:
  labels:
    {{- include "switch.selector" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext: {{- include "switch.nobody" . | nindent 4 }}
  {{- include "switch.pullSecrets" .root | nindent 2 }}
  containers:
    - name: {{ .component }}
      image: {{ include "switch.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: {{- toYaml .args | nindent 8 }}
      securityContext: {{- include "switch.confined" . | nindent 8 }}
      env:
        - name: SWITCH_CONFIG
          value: ""
        - name: SWITCH_DATABASE__URL
          valueFrom:
            secretKeyRef:
              name: {{ required (printf "%s: the Secret with its database URL has no name" .component) .database.name }}
              key: {{ .database.key }}
      resources:
        requests: {cpu: 100m, memory: 128Mi}
        limits: {memory: 512Mi}
      volumeMounts: {{- include "switch.fileMounts" .root | nindent 8 }}
  volumes: {{- include "switch.fileVolumes" .root | nindent 4 }}
{{- end -}}

{{- define "switch.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Certificates and keys, in the pod at /etc/switch/files. Mounted whole: what is mounted by
subPath never changes in a pod. */}}
{{- define "switch.fileMounts" -}}
{{- range .Values.secrets.files }}
- {name: file-{{ .folder }}, mountPath: /etc/switch/files/{{ .folder }}, readOnly: true}
{{- else }}
[]
{{- end }}
{{- end -}}

{{- define "switch.fileVolumes" -}}
{{- range .Values.secrets.files }}
- name: file-{{ .folder }}
  secret: {secretName: {{ .secret }}, defaultMode: 0440}
{{- else }}
[]
{{- end }}
{{- end -}}
