{{/* The name of everything in this release: the release's name, with the chart's in it. */}}
{{- define "crossinvoke.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/*
Names outside the release's namespace carry it: two releases of one name in two namespaces must not share them.
*/}}
{{- define "crossinvoke.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "crossinvoke.fullname" .) -}}
{{- end -}}

{{- define "crossinvoke.serviceAccountName" -}}
{{- default (include "crossinvoke.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "crossinvoke.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- with .Values.image.digest -}}
{{- printf "%s@%s" $.Values.image.repository . -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
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

{{/* What a binding of the controller's rights binds them to. */}}
{{- define "crossinvoke.subjects" -}}
- kind: ServiceAccount
  name: {{ include "crossinvoke.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/*
The arguments that decide the id which everything in AWS carries. Without an id the controller derives one, since only it
always sees the cluster: an id made where there is none to look at (helm template, Argo CD) would be the same in every
cluster, and two of them would take each other's roles for their own.
*/}}
{{- define "crossinvoke.installationArguments" -}}
{{- with .Values.installationID -}}
- --installation-id={{ . }}
{{- else -}}
- --release-namespace={{ .Release.Namespace }}
- --release-name={{ .Release.Name }}
{{- end -}}
{{- end -}}

{{/* The container's environment; a variable that two values set is refused, since the API server takes it only once. */}}
{{- define "crossinvoke.environment" -}}
{{- $environment := list -}}
{{- with .Values.aws.region -}}
{{- $environment = append $environment (dict "name" "AWS_REGION" "value" .) -}}
{{- end -}}
{{- with .Values.aws.endpoint -}}
{{- $environment = append $environment (dict "name" "AWS_ENDPOINT_URL" "value" .) -}}
{{- end -}}
{{- $set := dict -}}
{{- range concat $environment (default list .Values.extraEnv) -}}
{{- if hasKey $set .name -}}
{{- fail (printf "extraEnv: %s is set twice, by extraEnv or by a value under aws; set it once" .name) -}}
{{- end -}}
{{- $_ := set $set .name true -}}
{{- end -}}
{{- with concat $environment (default list .Values.extraEnv) -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}
