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
The id that everything in AWS carries. Without a cluster to look at there is no UID, and an id made without it would be
the same in every cluster: two of them would take each other's roles for their own. So that case must say one.
*/}}
{{- define "crossinvoke.installationID" -}}
{{- if .Values.installationID -}}
{{- if not (regexMatch "^[a-z0-9-]{1,20}$" (toString .Values.installationID)) -}}
{{- fail (printf "installationID %q: 1 to 20 lower-case letters, digits and hyphens, for example k3v9q2m7xa" (toString .Values.installationID)) -}}
{{- end -}}
{{- .Values.installationID -}}
{{- else -}}
{{- $system := lookup "v1" "Namespace" "" "kube-system" -}}
{{- if not $system -}}
{{- fail "installationID is empty and there is no cluster to derive it from: set installationID (helm template, Argo CD), for example --set-string installationID=k3v9q2m7xa" -}}
{{- else -}}
{{- printf "%s/%s/%s" $system.metadata.uid .Release.Namespace .Release.Name | sha256sum | trunc 10 -}}
{{- end -}}
{{- end -}}
{{- end -}}
