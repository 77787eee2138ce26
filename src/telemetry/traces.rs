//! Traces for an OpenTelemetry collector.

use opentelemetry::{propagation::TextMapPropagator, trace::TracerProvider};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, registry::LookupSpan};
use url::Url;

use crate::error::{Error, Result};

/// Exports spans to an OpenTelemetry collector, configured by the [specification's
/// variables](https://opentelemetry.io/docs/specs/otel/protocol/exporter/): `OTEL_EXPORTER_OTLP_ENDPOINT` enables it.
/// Dropping it sends the remaining spans.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// `None` if no collector is named.
    pub fn configured() -> Result<Option<Self>> {
        let named = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        if !named
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        {
            return Ok(None);
        }
        let secure = |name: &&str| {
            std::env::var(name).is_ok_and(|url| Url::parse(&url).is_ok_and(|url| url.scheme() == "https"))
        };
        if let Some(name) = named.iter().find(|name| secure(name)) {
            let message = format!("{name}: traces are sent over http:// to a collector nearby, which can send them on");
            return Err(Error::internal(message));
        }
        let exporter = SpanExporter::builder().with_http().build().map_err(Error::internal)?;
        let resource = Resource::builder().with_service_name("marmalade").build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Some(Self(provider)))
    }

    /// The layer that turns spans of `tracing` into OpenTelemetry's.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("marmalade"))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            eprintln!("some traces could not be sent: {error}");
        }
    }
}

/// Continues the trace of the caller, if the request has one ([W3C Trace
/// Context](https://www.w3.org/TR/trace-context/)).
pub(crate) fn follow(span: &Span, headers: &axum::http::HeaderMap) {
    struct Carrier<'h>(&'h axum::http::HeaderMap);
    impl opentelemetry::propagation::Extractor for Carrier<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(|name| name.as_str()).collect()
        }
    }
    if headers.contains_key("traceparent") {
        // Without a collector there is nothing to follow.
        span.set_parent(TraceContextPropagator::new().extract(&Carrier(headers)))
            .ok();
    }
}
