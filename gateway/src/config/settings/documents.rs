//! What documents say of settings: each that they name exists.

use crate::config::layers::is_section;
use crate::config::settings::{SETTINGS, Setting};

const DOCUMENTS: [(&str, &str); 3] = [
    ("operations.md", include_str!("../../../../docs/operations.md")),
    ("reliability.md", include_str!("../../../../docs/reliability.md")),
    ("security.md", include_str!("../../../../docs/security.md")),
];

/// The keys in backticks whose section is one of ours: `stop.timeout`, also as `stop.timeout = 30 s` or `limits.tenant_*`.
fn named(document: &str) -> impl Iterator<Item = &str> {
    let quoted = document.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let keys = quoted.filter_map(|quote| quote.split(' ').next());
    keys.filter(|key| key.split_once('.').is_some_and(|(section, _)| is_section(section)))
}

/// A star stands for the rest of a name.
fn exists(key: &str) -> bool {
    match key.strip_suffix('*') {
        Some(start) => SETTINGS.iter().any(|setting| setting.key.starts_with(start)),
        None => Setting::find(key).is_some(),
    }
}

#[test]
fn every_setting_that_a_document_names_exists() {
    for (name, text) in DOCUMENTS {
        let keys: Vec<&str> = named(text).collect();
        assert!(keys.len() > 2, "{name} names {keys:?}");
        for key in keys {
            assert!(exists(key), "{name} names `{key}`, which is none of the {} settings", SETTINGS.len());
        }
    }
    assert_eq!(named("`stop.timout` and ```\n`stop.x`\n``` `other.x`").collect::<Vec<_>>(), ["stop.timout"]);
}
