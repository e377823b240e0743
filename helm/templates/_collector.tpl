{{/* What the collector does. */}}
{{- define "nadeuri.collectorConfig" -}}
{{- $onward := ternary (list "otlp") (list "nop") (not (empty .Values.telemetry.otlp)) -}}
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "0.0.0.0:4317"}
processors:
  # Rather drops what is told than being killed.
  memory_limiter: {check_interval: 1s, limit_percentage: 75, spike_limit_percentage: 20}
exporters:
  # Names as Prometheus has them, `job` and `instance` from the resource: rules/ and dashboards/ are written for that.
  prometheus: {endpoint: "0.0.0.0:9464", metric_expiration: 5m}
  {{- with .Values.telemetry.otlp }}
  otlp:
    endpoint: {{ . | quote }}
  {{- else }}
  # Traces and logs have nowhere to go.
  nop: {}
  {{- end }}
extensions:
  health_check: {endpoint: "0.0.0.0:13133"}
service:
  extensions: [health_check]
  # What it measures of itself.
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [otlp], processors: [memory_limiter], exporters: {{ toJson (prepend (without $onward "nop") "prometheus") }}}
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: {{ toJson $onward }}}
    logs: {receivers: [otlp], processors: [memory_limiter], exporters: {{ toJson $onward }}}
{{- end -}}
