//! What is logged, from its text: `level` or `target=level`, several with commas between.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The filter that `text` stands for; `None` where it stands for none. Stricter than the parser behind it,
/// which takes a misspelt level for the name of a target.
pub(crate) fn log_filter(text: &str) -> Option<Targets> {
    // An empty word would be read as `error`.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let sound = text.split(',').all(|directive| match directive.trim().split_once('=') {
        None => is_level(directive.trim()),
        Some((target, level)) => !target.is_empty() && is_level(level),
    });
    if sound { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_no_target() {
        for good in
            ["info", "warn,signalbox_gateway=debug", "signalbox_registry::redis=trace", "off", "info, a=warn"]
        {
            assert!(log_filter(good).is_some(), "{good}");
        }
        for bad in ["", "inof", "info,", "info,=,=", "=debug", "a=loud", "no such filter"] {
            assert!(log_filter(bad).is_none(), "{bad}");
        }
    }
}
