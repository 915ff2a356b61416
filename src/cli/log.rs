use super::note;
use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Logs to stderr what `$EYRIE_LOG` asks for, such as `debug` or `warn,eyrie::net=trace`; else from `info` on.
pub fn start() {
    let filter = match std::env::var("EYRIE_LOG").as_deref().map(str::parse::<Targets>) {
        Ok(Ok(filter)) => filter,
        Ok(Err(error)) => {
            note(format_args!("EYRIE_LOG: {error}; expected such as `debug` or `warn,eyrie::net=trace`"));
            Targets::new().with_default(Level::INFO)
        }
        Err(_) => Targets::new().with_default(Level::INFO),
    };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    // The journal stamps each line itself.
    let lines = if std::env::var_os("JOURNAL_STREAM").is_some() { lines.without_time().boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
