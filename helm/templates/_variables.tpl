{{/* The environment variables of a unit's store: (list root name unit). */}}
{{- define "nadeuri.storeVariable" -}}
{{- $root := index . 0 -}}{{- $unit := index . 2 -}}
{{- if $unit.store.isCluster -}}
{{ include "nadeuri.secretVariable" (list "POSTGRESQL_URI" (printf "%s-app" (include "nadeuri.postgresql" $root)) "uri") }}
- {name: NADEURI_STORE, value: "$(POSTGRESQL_URI)?schema={context}&sslmode=verify-full&sslrootcert=/run/secrets/postgresql/ca.crt"}
{{- else if eq $unit.store.kind "postgresql" -}}
{{ include "nadeuri.secretVariable" (list "NADEURI_STORE" (include "nadeuri.store" .) $unit.store.key) }}
{{- else -}}
- {name: NADEURI_DATA, value: /var/lib/nadeuri}
{{- end -}}
{{- end -}}

{{/* The OTLP endpoint of the pods. */}}
{{- define "nadeuri.otlp" -}}
{{- ternary (printf "http://%s:4317" (include "nadeuri.collector" .)) .Values.telemetry.otlp .Values.monitoring.collector.enabled -}}
{{- end -}}

{{- define "nadeuri.collector" -}}
{{ .Chart.Name }}-collector
{{- end -}}

{{/* The mount of the store's certificate authority. */}}
{{- define "nadeuri.rootsMount" -}}
- name: postgresql-ca
  mountPath: /run/secrets/postgresql
  readOnly: true
{{- end -}}

{{/* The mounts of the data volume. */}}
{{- define "nadeuri.dataMounts" -}}
- name: data
  mountPath: /var/lib/nadeuri
- name: tmp
  mountPath: /tmp
{{- end -}}

{{/* The options of `nadeuri serve`, as environment variables: (list root name unit). */}}
{{- define "nadeuri.variables" -}}
{{- $root := index . 0 -}}{{- $unit := index . 2 -}}{{- $values := $root.Values -}}
- {name: NADEURI_LISTEN, value: "0.0.0.0:50051"}
{{ include "nadeuri.storeVariable" . }}
- {name: NADEURI_NO_MIGRATE, value: "true"}
{{- if $values.operators.rabbitmq.enabled }}
{{- range list "username" "password" "host" "port" }}
{{ include "nadeuri.secretVariable" (list (printf "RABBITMQ_%s" (upper .)) (printf "%s-default-user" (include "nadeuri.rabbitmq" $root)) .) }}
{{- end }}
- {name: NADEURI_BUS, value: "amqp://$(RABBITMQ_USERNAME):$(RABBITMQ_PASSWORD)@$(RABBITMQ_HOST):$(RABBITMQ_PORT)/%2f"}
- {name: NADEURI_BUS_PREFIX, value: {{ $values.bus.prefix | quote }}}
{{- else if or $values.bus.url $values.bus.secret }}
{{ include "nadeuri.secretVariable" (list "NADEURI_BUS" (include "nadeuri.bus" $root) (replace "{context}" (index . 1) $values.bus.key)) }}
- {name: NADEURI_BUS_PREFIX, value: {{ $values.bus.prefix | quote }}}
{{- with $values.bus.users }}
- {name: NADEURI_BUS_USERS, value: {{ . | quote }}}
{{- end }}
{{- else if eq $unit.store.kind "postgresql" }}
- {name: NADEURI_DATA, value: /var/lib/nadeuri}
{{- end }}
{{- if $unit.calls }}
- {name: NADEURI_PEERS, value: "http://{context}:50051"}
{{- end }}
{{- $trust := list }}
{{- range $issuer, $keys := $values.auth.issuers }}
{{- $trust = append $trust (printf "%s=%s" $issuer $keys) }}
{{- end }}
- {name: NADEURI_AUTH, value: {{ $trust | join " " | default "own" | quote }}}
{{- $roles := list }}
{{- range $issuer, $granted := $values.auth.issuerRoles }}
{{- $roles = append $roles (printf "%s=%s" $issuer (join "," $granted)) }}
{{- end }}
{{- if $roles }}
- {name: NADEURI_ISSUER_ROLES, value: {{ $roles | join " " | quote }}}
{{- end }}
{{- $prefixes := list }}
{{- range $issuer, $prefix := $values.auth.issuerPrefixes }}
{{- $prefixes = append $prefixes (printf "%s=%s" $issuer $prefix) }}
{{- end }}
{{- if $prefixes }}
- {name: NADEURI_ISSUER_PREFIX, value: {{ $prefixes | join " " | quote }}}
{{- end }}
- {name: NADEURI_AUDIENCE, value: {{ $values.auth.audience | quote }}}
- {name: NADEURI_ROLES_CLAIM, value: {{ $values.auth.rolesClaim | quote }}}
- {name: NADEURI_IDENTITY, value: /run/secrets/nadeuri/identity.pem}
{{- if eq $values.mode "contexts" }}
- {name: NADEURI_IDENTITIES, value: /run/identities/identities.pem}
{{- end }}
{{- if $unit.sealing }}
- {name: NADEURI_SEALING_KEYS, value: /run/sealing/sealing-keys}
{{- end }}
- {name: NADEURI_RATE, value: {{ int64 $values.limits.rate | quote }}}
- {name: NADEURI_IN_FLIGHT, value: {{ int64 $values.limits.inFlight | quote }}}
- {name: NADEURI_REMEMBER_HOURS, value: {{ int64 $values.rememberHours | quote }}}
- {name: NADEURI_ERASURE_DELAY, value: {{ int64 $values.erasureDelaySeconds | quote }}}
{{- if $values.deadLetterDays }}
- {name: NADEURI_DEAD_LETTER_DAYS, value: {{ int64 $values.deadLetterDays | quote }}}
{{- end }}
- {name: NADEURI_LINGER_MS, value: {{ mul $values.stop.lingerSeconds 1000 | quote }}}
- {name: NADEURI_STOP_MS, value: {{ mul $values.stop.drainSeconds 1000 | quote }}}
{{- if or $values.meshRetries $values.mesh.istio.enabled }}
- {name: NADEURI_MESH_RETRIES, value: "true"}
{{- end }}
{{- if $unit.settings }}
- {name: NADEURI_CONFIG, value: /etc/nadeuri/nadeuri.toml}
{{- end }}
- {name: RUST_LOG, value: {{ $values.telemetry.log | quote }}}
- {name: NADEURI_LOG_FORMAT, value: json}
{{- with include "nadeuri.otlp" $root }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- end -}}
