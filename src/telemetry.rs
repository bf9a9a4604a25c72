//! The log: one line per fact on standard output, as text for people or JSON for machines.

use std::io::{self, IsTerminal, Write};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Crates that tell every statement they run: of interest to who asks for it by name only.
const STATEMENT_CRATES: [&str; 2] = ["sqlx", "sea_orm"];

/// Starts logging what `directives` let through (as in [`crate::config::Config::log_level`]),
/// records of the `log` crate included. A second call in a process changes nothing, so tests may
/// start several servers.
///
/// # Panics
/// For directives that the configuration would refuse.
pub fn init(format: LogFormat, directives: &str) {
    let is_terminal = io::stdout().is_terminal();
    // The only failure is a logger that is there already.
    let _ = subscriber(format, directives, is_terminal, OneLine(io::stdout)).try_init();
}

fn subscriber<W>(
    format: LogFormat,
    directives: &str,
    is_terminal: bool,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        // On a terminal, tracing-subscriber itself minds NO_COLOR.
        LogFormat::Text if is_terminal => layer.compact().boxed(),
        LogFormat::Text => layer.compact().with_ansi(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_ansi(false).boxed(),
    };
    let targets: Targets = directives
        .parse()
        .expect("it was checked with the configuration");
    let asked_for = STATEMENT_CRATES
        .iter()
        .any(|name| directives.contains(name));
    tracing_subscriber::registry()
        .with(layer)
        .with(filter_fn(move |metadata| {
            asked_for || !is_statement(metadata)
        }))
        .with(targets)
}

fn is_statement(metadata: &Metadata<'_>) -> bool {
    // The whole first name: sea_orm_migration tells its progress, which stays.
    let source = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() > Level::WARN && STATEMENT_CRATES.contains(&source)
}

/// Keeps an event on its line: a text with line breaks, perhaps a user's, cannot fake a second one.
struct OneLine<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLine(self.0.make_writer())
    }
}

impl<W: Write> Write for OneLine<W> {
    /// Takes an event as tracing-subscriber writes it: whole, with one line break at its end.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let body = event.strip_suffix(b"\n").unwrap_or(event);
        let mut line = Vec::with_capacity(event.len());
        for byte in body {
            match byte {
                b'\n' => line.extend(b"\\n"),
                b'\r' => line.extend(b"\\r"),
                other => line.push(*other),
            }
        }
        line.extend(&event[body.len()..]);
        self.0.write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, directives: &str, facts: impl FnOnce()) -> Vec<String> {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(format, directives, false, OneLine(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, facts);
        let bytes = page.0.lock().expect("no panic").clone();
        String::from_utf8(bytes)
            .expect("UTF-8")
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_text_with_line_breaks_stays_one_line_without_colours() {
        let lines = logged(LogFormat::Text, "info", || {
            tracing::info!(port = 1, "first\r\nsecond")
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("first\\r\\nsecond") && lines[0].contains("port=1"),
            "{lines:?}"
        );
        assert!(!lines[0].contains('\u{1b}'), "{lines:?}");
    }

    #[test]
    fn json_is_one_object_per_line_with_fields_to_query() {
        let lines = logged(LogFormat::Json, "info", || tracing::info!(port = 1, "a\nb"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with('{') && lines[0].ends_with('}'),
            "{lines:?}"
        );
        assert!(
            lines[0].contains("\"port\":1") && lines[0].contains("a\\nb"),
            "{lines:?}"
        );
    }

    #[test]
    fn statements_are_quiet_until_somebody_names_them() {
        let facts = || {
            tracing::debug!(target: "sqlx::query", "SELECT");
            tracing::warn!(target: "sqlx::query", "slow SELECT");
            tracing::info!(target: "sea_orm_migration::migrator", "progress");
            tracing::debug!(target: "backchannel", "a fact");
        };
        assert_eq!(logged(LogFormat::Text, "debug", facts).len(), 3);
        assert_eq!(logged(LogFormat::Text, "info,sqlx=debug", facts).len(), 3);
        assert_eq!(logged(LogFormat::Text, "error", facts).len(), 0);
    }

    #[test]
    fn starting_twice_changes_nothing() {
        init(LogFormat::Text, "off");
        init(LogFormat::Json, "trace");
        assert!(!tracing::enabled!(Level::ERROR));
    }
}
