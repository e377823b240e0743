{{/* The Deployments, as a map of name to unit: its arguments, calls, settings, store and workload. */}}
{{- define "nadeuri.units" -}}
{{- include "nadeuri.check" . -}}
{{- $units := dict -}}
{{- $hasBus := include "nadeuri.hasBus" . -}}
{{- if eq .Values.mode "all" -}}
  {{- $settings := dict -}}
  {{- range $name, $context := .Values.contexts -}}
    {{- with $context.settings -}}{{- $_ := set $settings $name . -}}{{- end -}}
  {{- end -}}
  {{- $unit := dict "args" (list "serve") "migrate" (list "migrate") "ready" "" "calls" list "sealing" true "settings" $settings "store" .Values.store -}}
  {{- $_ := set $units .Chart.Name (mergeOverwrite (deepCopy .Values.workload) $unit) -}}
{{- else -}}
  {{- range $name, $context := .Values.contexts -}}
    {{- $settings := dict -}}
    {{- with $context.settings -}}{{- $_ := set $settings $name . -}}{{- end -}}
    {{- $own := $context.store | default dict -}}
    {{- /* The context's own url or secret replaces both of the shared ones. */ -}}
    {{- $shared := ternary (omit $.Values.store "url" "secret") $.Values.store (or (hasKey $own "url") (hasKey $own "secret")) -}}
    {{- $store := mergeOverwrite (dict "url" "" "secret" "") (deepCopy $shared) (deepCopy $own) -}}
    {{- /* Ready means that the store answers: without the broker it still takes calls, and events wait in the outbox. */ -}}
    {{- $unit := dict "args" (list "serve" $name) "migrate" (list "migrate" $name) "ready" (printf "%s.store" $name) "calls" $context.calls "sealing" ($context.sealing | default false) "settings" $settings "store" $store -}}
    {{- $workload := mergeOverwrite (deepCopy $.Values.workload) (omit (deepCopy $context) "calls" "sealing" "settings" "store") -}}
    {{- $_ := set $units $name (mergeOverwrite $workload $unit) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $unit := $units -}}
  {{- $isCluster := and (eq $unit.store.kind "postgresql") (not (or $unit.store.url $unit.store.secret)) -}}
  {{- if and $isCluster (not $.Values.operators.postgresql.enabled) -}}
    {{- fail (printf "%s has a store of kind postgresql without an address: set store.url or store.secret, or enable operators.postgresql" $name) -}}
  {{- end -}}
  {{- $_ := set $unit "store" (merge (dict "isCluster" $isCluster) $unit.store) -}}
  {{- if and (eq $unit.store.kind "postgresql") $unit.store.url $unit.store.secret -}}
    {{- fail (printf "the store of %s has a url and a secret: set only one of them" $name) -}}
  {{- end -}}
  {{- /* A SQLite file has one writer, and events that stay in one process don't reach a second one. */ -}}
  {{- $_ := set $unit "single" (or (eq $unit.store.kind "sqlite") (not $hasBus)) -}}
{{- end -}}
{{- toYaml $units -}}
{{- end -}}

{{/* Fails on combinations that can't work and that the schema does not reject. */}}
{{- define "nadeuri.check" -}}
{{- if and .Values.bus.url .Values.bus.secret -}}
  {{- fail "bus has a url and a secret: set only one of them" -}}
{{- end -}}
{{- if and .Values.operators.rabbitmq.enabled (or .Values.bus.url .Values.bus.secret) -}}
  {{- fail "bus names a RabbitMQ and operators.rabbitmq creates one: use only one of them" -}}
{{- end -}}
{{- if and .Values.operators.postgresql.enabled (or .Values.store.url .Values.store.secret) -}}
  {{- fail "store names a PostgreSQL and operators.postgresql creates one: use only one of them" -}}
{{- end -}}
{{- if and .Values.operators.postgresql.enabled (ne .Values.store.kind "postgresql") -}}
  {{- fail "operators.postgresql creates a PostgreSQL that nothing uses: set store.kind to postgresql" -}}
{{- end -}}
{{- if and (eq .Values.mode "contexts") (not (include "nadeuri.hasBus" .)) -}}
  {{- fail "mode contexts requires RabbitMQ: set bus.url or bus.secret, or enable operators.rabbitmq" -}}
{{- end -}}
{{- if and (eq .Values.mode "all") (or .Values.identity.contexts .Values.identity.certificates) -}}
  {{- fail "identity.contexts and identity.certificates are for mode contexts: in mode all, name the one key with identity.secret" -}}
{{- end -}}
{{- if and (eq .Values.mode "contexts") .Values.identity.secret -}}
  {{- fail "identity.secret is the one key of mode all: in mode contexts, name a Secret for each context's key with identity.contexts, and the ConfigMap of their certificates with identity.certificates" -}}
{{- end -}}
{{- if ne (empty .Values.identity.contexts) (empty .Values.identity.certificates) -}}
  {{- fail "identity.contexts and identity.certificates belong together: the chart can't make certificates of keys that it does not create" -}}
{{- end -}}
{{- if and (eq .Values.mode "all") (contains "{context}" (print .Values.bus.key .Values.bus.users)) -}}
  {{- fail "bus.key and bus.users have {context} in mode contexts only: in mode all, the events of all contexts come by one user" -}}
{{- end -}}
{{- if and .Values.bus.users .Values.operators.rabbitmq.enabled -}}
  {{- fail "bus.users needs users that you create: operators.rabbitmq has one, with a name of its own" -}}
{{- end -}}
{{- if and (contains "{context}" .Values.bus.users) (not (and .Values.bus.secret (contains "{context}" .Values.bus.key))) -}}
  {{- fail "bus.users has a user for each context: give each its own URL, in bus.secret with {context} in bus.key" -}}
{{- end -}}
{{- if and .Values.monitoring.serviceMonitor.enabled (not .Values.monitoring.collector.enabled) -}}
  {{- fail "monitoring.serviceMonitor requires monitoring.collector, because the pods have no metrics to scrape: enable it, or monitor your own collector" -}}
{{- end -}}
{{- if and .Values.helmTest.demo (ne .Values.mode "all") -}}
  {{- fail "helmTest.demo requires mode all, where one address serves all contexts" -}}
{{- end -}}
{{- if eq .Values.mode "all" -}}
  {{- range $name, $context := .Values.contexts -}}
    {{- with omit $context "calls" "sealing" "settings" -}}
      {{- fail (printf "contexts.%s sets %s, but in mode all no context has its own Deployment" $name (keys . | sortAlpha | join ", ")) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* The labels of every object. */}}
{{- define "nadeuri.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
{{- end -}}

{{/* The selector labels of a unit's pods: (list root name). */}}
{{- define "nadeuri.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end -}}

{{- define "nadeuri.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The Secret with the key of a unit, or of the operators: (list root name). It is the one that is named, or the one that
the chart creates. */}}
{{- define "nadeuri.identity" -}}
{{- $identity := (index . 0).Values.identity -}}{{- $name := index . 1 -}}
{{- $named := ternary $identity.secret (replace "{context}" $name $identity.contexts) (eq (index . 0).Values.mode "all") -}}
{{ $named | default (printf "%s-identity" $name) }}
{{- end -}}

{{/* The ConfigMap with the certificates of all keys. */}}
{{- define "nadeuri.certificates" -}}
{{ .Values.identity.certificates | default (printf "%s-identities" .Chart.Name) }}
{{- end -}}

{{/* The Secret with the keys that seal. */}}
{{- define "nadeuri.sealing" -}}
{{ .Values.sealing.secret | default (printf "%s-sealing" .Chart.Name) }}
{{- end -}}

{{- define "nadeuri.bus" -}}
{{ .Values.bus.secret | default (printf "%s-bus" .Chart.Name) }}
{{- end -}}

{{/* The Secret of a unit's store: (list root name unit). Units with the same URL share one. */}}
{{- define "nadeuri.store" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $store := (index . 2).store -}}
{{- $owner := ternary $root.Chart.Name $name (eq $store.url $root.Values.store.url) -}}
{{ $store.secret | default (printf "%s-store" $owner) }}
{{- end -}}

{{/* An environment variable from a Secret: (list variable secret key). */}}
{{- define "nadeuri.secretVariable" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{/* What the pod security standard "restricted" requires of a pod; 65532 is the user of the image. */}}
{{- define "nadeuri.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What it requires of a container, with a read-only root file system. */}}
{{- define "nadeuri.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
