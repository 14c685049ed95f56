//! The process's log: lines on stderr, for people or for machines.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::Failure;
use crate::config::log_filter::log_filter;
use crate::config::{Log, LogFormat};

/// Sends log events to stderr from now on. `RUST_LOG`, if set, replaces `log.filter`.
pub(super) fn start(log: &Log) -> Result<(), Failure> {
    let by_variable = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = log_filter(by_variable.as_ref().unwrap_or(&log.filter)).ok_or(Failure::BadRustLog)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => {
            let json = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
            json.map_event_format(Flat).boxed()
        }
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Ok(())
}

/// Lines of JSON in which the fields of the span around an event stand beside its own: `trace_id`.
struct Flat<F>(F);

impl<S, N, F> FormatEvent<S, N> for Flat<F>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(span) = ctx.lookup_current() else { return self.0.format_event(ctx, writer, event) };
        let mut line = String::new();
        self.0.format_event(ctx, Writer::new(&mut line), event)?;
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<N>>().and_then(|fields| inside(&fields.fields));
        match (fields, line.strip_prefix('{')) {
            (Some(fields), Some(rest)) => write!(writer, "{{{fields},{rest}"),
            _ => writer.write_str(&line),
        }
    }
}

/// What stands in an object of JSON, if anything does.
fn inside(object: &str) -> Option<&str> {
    object.strip_prefix('{')?.strip_suffix('}').filter(|fields| !fields.is_empty())
}
