{{/* What things are called, and what is asked of the values beyond their schema. */}}

{{- define "archon.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | replace "archon-archon" "archon" | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "archon.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "archon.labels" -}}
{{ include "archon.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* Whether sessions are kept in PostgreSQL; the word, or nothing. */}}
{{- define "archon.postgres" -}}
{{- if or .Values.database.url .Values.database.existingSecret }}postgres{{ end -}}
{{- end -}}

{{/* The names under which it is reached: the service's, the ingress's, those that were given, and the pod's own address, which
is what probes and scrapes use. */}}
{{- define "archon.hosts" -}}
{{- $name := include "archon.name" . -}}
{{- $hosts := list "$(POD_IP)" $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) -}}
{{- if .Values.ingress.enabled -}}
{{- $hosts = concat $hosts (compact (list .Values.ingress.host .Values.ingress.api.host)) -}}
{{- end -}}
{{- join "," (concat $hosts .Values.allowedHosts | uniq) -}}
{{- end -}}

{{- define "archon.checked" -}}
{{- if and (gt (int .Values.replicas) 1) (not (include "archon.postgres" .)) -}}
{{- fail "several replicas need a database that they share: set database.url or database.existingSecret" -}}
{{- end -}}
{{- if not (or .Values.api.token .Values.api.existingSecret) -}}
{{- fail "the API needs a token: set api.token (openssl rand -hex 32) or api.existingSecret" -}}
{{- end -}}
{{- end -}}
