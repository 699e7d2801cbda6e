{{/* The name of everything in this release: the release's name, with the chart's in it. */}}
{{- define "crossinvoke.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Cluster-scoped names carry the namespace: two releases of one name in two namespaces must not share them. */}}
{{- define "crossinvoke.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "crossinvoke.fullname" .) -}}
{{- end -}}

{{- define "crossinvoke.serviceAccountName" -}}
{{- default (include "crossinvoke.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "crossinvoke.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "crossinvoke.labels" -}}
{{ include "crossinvoke.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/*
The arguments that decide the id which everything in AWS carries. Without an id the controller derives one, since only it
always sees the cluster: an id made where there is none to look at (helm template, Argo CD) would be the same in every
cluster, and two of them would take each other's roles for their own.
*/}}
{{- define "crossinvoke.installationArguments" -}}
{{- $id := toString .Values.installationID -}}
{{- if not $id -}}
- --release-namespace={{ .Release.Namespace }}
- --release-name={{ .Release.Name }}
{{- else if regexMatch "^[a-z0-9-]{1,20}$" $id -}}
- --installation-id={{ $id }}
{{- else -}}
{{- fail (printf "installationID %q: 1 to 20 lower-case letters, digits and hyphens, for example k3v9q2m7xa" $id) -}}
{{- end -}}
{{- end -}}
