{{/* The Deployments that there are, each with all that it needs to be told: a map of name to unit. */}}
{{- define "nadeuri.units" -}}
{{- include "nadeuri.check" . -}}
{{- $units := dict -}}
{{- $hasBus := include "nadeuri.hasBus" . -}}
{{- if eq .Values.mode "all" -}}
  {{- $settings := dict -}}
  {{- range $name, $context := .Values.contexts -}}
    {{- with $context.settings -}}{{- $_ := set $settings $name . -}}{{- end -}}
  {{- end -}}
  {{- $unit := dict "args" (list "serve") "migrate" (list "migrate") "ready" "" "calls" list "settings" $settings "store" .Values.store -}}
  {{- $_ := set $units .Chart.Name (mergeOverwrite (deepCopy .Values.workload) $unit) -}}
{{- else -}}
  {{- range $name, $context := .Values.contexts -}}
    {{- $settings := dict -}}
    {{- with $context.settings -}}{{- $_ := set $settings $name . -}}{{- end -}}
    {{- $own := $context.store | default dict -}}
    {{- /* Its own address takes the place of everybody's, whichever of the two it is. */ -}}
    {{- $shared := ternary (omit $.Values.store "url" "secret") $.Values.store (or (hasKey $own "url") (hasKey $own "secret")) -}}
    {{- $store := mergeOverwrite (dict "url" "" "secret" "") (deepCopy $shared) (deepCopy $own) -}}
    {{- /* With the broker away calls are still taken, and events wait in the outbox: only the store makes it ready. */ -}}
    {{- $unit := dict "args" (list "serve" $name) "migrate" (list "migrate" $name) "ready" (printf "%s.store" $name) "calls" $context.calls "settings" $settings "store" $store -}}
    {{- $workload := mergeOverwrite (deepCopy $.Values.workload) (omit (deepCopy $context) "calls" "settings" "store") -}}
    {{- $_ := set $units $name (mergeOverwrite $workload $unit) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $unit := $units -}}
  {{- $isCluster := and (eq $unit.store.kind "postgresql") (not (or $unit.store.url $unit.store.secret)) -}}
  {{- if and $isCluster (not $.Values.operators.postgresql.enabled) -}}
    {{- fail (printf "%s keeps its state in postgresql: say where, in store.url or store.secret, or enable operators.postgresql" $name) -}}
  {{- end -}}
  {{- $_ := set $unit "store" (merge (dict "isCluster" $isCluster) $unit.store) -}}
  {{- if and (eq $unit.store.kind "postgresql") $unit.store.url $unit.store.secret -}}
    {{- fail (printf "the store of %s has a url and a secret: name one of them" $name) -}}
  {{- end -}}
  {{- /* A file has one writer; and events that stay in a process are not shared with a second. */ -}}
  {{- $_ := set $unit "single" (or (eq $unit.store.kind "sqlite") (not $hasBus)) -}}
{{- end -}}
{{- toYaml $units -}}
{{- end -}}

{{/* What can't work together, beyond what the schema refuses. */}}
{{- define "nadeuri.check" -}}
{{- if and .Values.bus.url .Values.bus.secret -}}
  {{- fail "bus has a url and a secret: name one of them" -}}
{{- end -}}
{{- if and .Values.operators.rabbitmq.enabled (or .Values.bus.url .Values.bus.secret) -}}
  {{- fail "bus names a RabbitMQ and operators.rabbitmq makes one: choose" -}}
{{- end -}}
{{- if and .Values.operators.postgresql.enabled (or .Values.store.url .Values.store.secret) -}}
  {{- fail "store names a PostgreSQL and operators.postgresql makes one: choose" -}}
{{- end -}}
{{- if and .Values.operators.postgresql.enabled (ne .Values.store.kind "postgresql") -}}
  {{- fail "operators.postgresql makes a PostgreSQL that nothing uses: set store.kind to postgresql" -}}
{{- end -}}
{{- if and (eq .Values.mode "contexts") (not (include "nadeuri.hasBus" .)) -}}
  {{- fail "contexts in Deployments of their own speak through RabbitMQ: say where it is, in bus.url or bus.secret, or enable operators.rabbitmq" -}}
{{- end -}}
{{- if and .Values.monitoring.serviceMonitor.enabled (not .Values.monitoring.collector.enabled) -}}
  {{- fail "monitoring.serviceMonitor is of the collector, and the pods have no metrics to scrape: enable monitoring.collector, or monitor a collector of yours" -}}
{{- end -}}
{{- if and .Values.helmTest.demo (ne .Values.mode "all") -}}
  {{- fail "helmTest.demo wants one address for all contexts, which there is in mode all" -}}
{{- end -}}
{{- if eq .Values.mode "all" -}}
  {{- range $name, $context := .Values.contexts -}}
    {{- with omit $context "calls" "settings" -}}
      {{- fail (printf "contexts.%s has %s, but in mode all it has no Deployment of its own" $name (keys . | sortAlpha | join ", ")) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* What everything of the chart is labelled with. */}}
{{- define "nadeuri.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
{{- end -}}

{{/* What the pods of a unit are known by: (list root name). */}}
{{- define "nadeuri.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end -}}

{{- define "nadeuri.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The Secret of the identity: the operator's, or the one that is made. */}}
{{- define "nadeuri.identity" -}}
{{ .Values.identity.secret | default (printf "%s-identity" .Chart.Name) }}
{{- end -}}

{{- define "nadeuri.bus" -}}
{{ .Values.bus.secret | default (printf "%s-bus" .Chart.Name) }}
{{- end -}}

{{/* The Secret of a unit's store: (list root name unit). One is made for all whose URL is the same. */}}
{{- define "nadeuri.store" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $store := (index . 2).store -}}
{{- $owner := ternary $root.Chart.Name $name (eq $store.url $root.Values.store.url) -}}
{{ $store.secret | default (printf "%s-store" $owner) }}
{{- end -}}

{{/* A variable from a Secret: (list variable secret key). */}}
{{- define "nadeuri.secretVariable" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{/* What the pod security standard "restricted" asks of a pod, and 65532, the user of the image. */}}
{{- define "nadeuri.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What it asks of a container, and a root file system that nobody writes to. */}}
{{- define "nadeuri.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
