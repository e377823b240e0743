{{/* The collector's configuration. */}}
{{- define "nadeuri.collectorConfig" -}}
{{- $onward := ternary (list "otlp") (list "nop") (not (empty .Values.telemetry.otlp)) -}}
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "0.0.0.0:4317"}
processors:
  # Drop telemetry rather than be killed for memory.
  memory_limiter: {check_interval: 1s, limit_percentage: 75, spike_limit_percentage: 20}
exporters:
  # Prometheus' names, with `job` and `instance` of the resource: rules/ and dashboards/ rely on them.
  prometheus: {endpoint: "0.0.0.0:9464", metric_expiration: 5m}
  {{- with .Values.telemetry.otlp }}
  otlp:
    endpoint: {{ . | quote }}
  {{- else }}
  # Traces and logs have no destination.
  nop: {}
  {{- end }}
extensions:
  health_check: {endpoint: "0.0.0.0:13133"}
service:
  extensions: [health_check]
  # The collector's own metrics.
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [otlp], processors: [memory_limiter], exporters: {{ toJson (prepend (without $onward "nop") "prometheus") }}}
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: {{ toJson $onward }}}
    logs: {receivers: [otlp], processors: [memory_limiter], exporters: {{ toJson $onward }}}
{{- end -}}
