{{/* Fails unless the cluster has an API: (list root api value operator). */}}
{{- define "nadeuri.need" -}}
{{- $root := index . 0 -}}{{- $api := index . 1 -}}
{{- if not ($root.Capabilities.APIVersions.Has $api) -}}
  {{- fail (printf "%s needs %s, which this cluster does not have: install %s first (without a cluster, as with helm template, pass --api-versions %s)" (index . 2) $api (index . 3) $api) -}}
{{- end -}}
{{- end -}}

{{/* "true" if events go through RabbitMQ. */}}
{{- define "nadeuri.hasBus" -}}
{{- if or .Values.bus.url .Values.bus.secret .Values.operators.rabbitmq.enabled -}}true{{- end -}}
{{- end -}}

{{/* The name of the CloudNativePG cluster. */}}
{{- define "nadeuri.postgresql" -}}
{{ .Chart.Name }}-postgresql
{{- end -}}

{{/* The name of the RabbitMQ cluster. */}}
{{- define "nadeuri.rabbitmq" -}}
{{ .Chart.Name }}-rabbitmq
{{- end -}}

{{/* The Secret with the private certificate authority of a unit's PostgreSQL, if there is one: (list root unit). */}}
{{- define "nadeuri.storeRoots" -}}
{{- $root := index . 0 -}}{{- $store := (index . 1).store -}}
{{- if eq $store.kind "postgresql" -}}
  {{- ternary (printf "%s-ca" (include "nadeuri.postgresql" $root)) $store.ca $store.isCluster -}}
{{- end -}}
{{- end -}}
