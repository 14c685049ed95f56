//! A file of scenarios. Each is turned into the command line that would run it, so that there is one definition of every
//! option, and the same words for what is wrong with one.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use clap::{CommandFactory, Parser};
use serde::Deserialize;
use toml::{Table, Value};

use crate::measuring::{self, Interrupted};
use crate::options::{Command, Options, Scenario, Suite};

/// What a file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Options of all scenarios that know them and do not set them themselves.
    #[serde(default)]
    defaults: Table,
    scenario: Vec<Entry>,
}

/// One `[[scenario]]`.
#[derive(Debug, Deserialize)]
struct Entry {
    /// Of what is written for it; unique within the file.
    name: String,
    /// The subcommand.
    run: String,
    /// Its options without the dashes.
    #[serde(flatten)]
    options: Table,
}

/// Runs all that are wanted one after the other, also if one fails; answers whether all succeeded.
pub(crate) fn run(suite: &Suite) -> anyhow::Result<bool> {
    let shown = suite.file.display().to_string();
    let text = fs::read_to_string(&suite.file).with_context(|| shown.clone())?;
    let scenarios = read(&text, suite).with_context(|| shown)?;
    fs::create_dir_all(&suite.into).with_context(|| suite.into.display().to_string())?;
    let mut failed = Vec::new();
    for (number, (name, scenario)) in (1..).zip(&scenarios) {
        eprintln!("{name}, {number} of {}", scenarios.len());
        match measuring::run(scenario) {
            Ok(true) => {}
            Ok(false) => failed.push(name.as_str()),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        eprintln!("failed: {}", failed.join(", "));
    }
    Ok(failed.is_empty())
}

/// The scenarios of a file that are wanted, with their names.
fn read(text: &str, suite: &Suite) -> anyhow::Result<Vec<(String, Scenario)>> {
    let mut file: File = toml::from_str(text)?;
    let set = suite.set.iter().map(|text| set(text)).collect::<anyhow::Result<Table>>()?;
    for name in file.defaults.keys().chain(set.keys()) {
        let known = file.scenario.iter().any(|entry| knows(&entry.run, name));
        ensure!(known, "no scenario of this file has an option {name:?}");
    }
    for name in &suite.only {
        ensure!(file.scenario.iter().any(|entry| entry.name == *name), "no scenario is called {name:?}");
    }
    let mut scenarios = Vec::new();
    for mut entry in file.scenario.drain(..) {
        let name = entry.name.clone();
        ensure!(is_name(&name), "{name:?} is no name for files: letters, digits and dashes are");
        ensure!(scenarios.iter().all(|(other, _)| *other != name), "two scenarios are called {name:?}");
        entry.complete(&file.defaults, &set);
        let scenario = entry.scenario(&suite.into).with_context(|| format!("scenario {name:?}"))?;
        scenarios.push((name, scenario));
    }
    scenarios.retain(|(name, _)| suite.only.is_empty() || suite.only.contains(name));
    Ok(scenarios)
}

impl Entry {
    /// Adds what is the same for all.
    fn complete(&mut self, defaults: &Table, set: &Table) {
        let known = |table: &Table| {
            let options = table.iter().filter(|(name, _)| knows(&self.run, name));
            options.map(|(name, value)| (name.clone(), value.clone())).collect::<Table>()
        };
        let (mut options, set) = (known(defaults), known(set));
        options.extend(std::mem::take(&mut self.options));
        options.extend(set);
        self.options = options;
    }

    /// What its command line says.
    fn scenario(&self, into: &Path) -> anyhow::Result<Scenario> {
        let mut line = vec!["signalbox-load".to_owned(), self.run.clone()];
        for (name, value) in &self.options {
            line.extend(arguments(name, value)?);
        }
        let file = |ending: &str| into.join(format!("{}{ending}", self.name)).display().to_string();
        line.extend([
            format!("--json={}", file(".json")),
            format!("--markdown={}", file(".md")),
            format!("--plots={}", file("")),
        ]);
        match Options::try_parse_from(line)?.command {
            Command::Measure(scenario) => Ok(*scenario),
            Command::Run(_) | Command::Compare(_) | Command::BareServer(_) | Command::Worker => {
                bail!("{:?} is no scenario", self.run)
            }
        }
    }
}

/// An option as it stands on a command line: a flag that is true by its name alone, one that is false not at all, and each
/// value of a list by itself.
fn arguments(name: &str, value: &Value) -> anyhow::Result<Vec<String>> {
    Ok(match value {
        Value::Boolean(true) => vec![format!("--{name}")],
        Value::Boolean(false) => Vec::new(),
        Value::String(text) => vec![format!("--{name}={text}")],
        Value::Integer(number) => vec![format!("--{name}={number}")],
        Value::Float(number) => vec![format!("--{name}={number}")],
        Value::Array(values) => {
            let each =
                values.iter().map(|value| arguments(name, value)).collect::<anyhow::Result<Vec<_>>>()?;
            each.concat()
        }
        Value::Datetime(_) | Value::Table(_) => bail!("{name} is a {}, which no option is", value.type_str()),
    })
}

/// `OPTION=VALUE`, the value as in a file, or a text without its quotes.
fn set(text: &str) -> anyhow::Result<(String, Value)> {
    let (name, value) = text.split_once('=').with_context(|| format!("{text:?} is not OPTION=VALUE"))?;
    let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok();
    let parsed = parsed.and_then(|mut table| table.remove("value"));
    Ok((name.to_owned(), parsed.unwrap_or_else(|| Value::from(value))))
}

/// Whether the scenario of that name has this option.
fn knows(scenario: &str, option: &str) -> bool {
    let command = Options::command();
    let scenario = command.find_subcommand(scenario);
    scenario.is_some_and(|scenario| scenario.get_arguments().any(|known| known.get_long() == Some(option)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn suite(only: &[&str], set: &[&str]) -> Suite {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Suite { file: "file.toml".into(), into: "folder".into(), only: owned(only), set: owned(set) }
    }

    fn refusal(text: &str, set: &[&str]) -> String {
        format!("{:#}", read(text, &suite(&[], set)).unwrap_err())
    }

    const FILE: &str = r#"
        [defaults]
        repeat = 5
        warm-up-seconds = 0.5

        [[scenario]]
        name = "full"
        run = "unicast"
        full-speed = true
        no-baseline = false
        server-arg = ["--set", "a=b"]
        assert = ["messages_per_second>1k"]

        [[scenario]]
        name = "race"
        run = "boarding"
        repeat = 2
        vehicles = 3
    "#;

    #[test]
    fn a_table_is_read_like_a_command_line() {
        let scenarios = read(FILE, &suite(&[], &["seconds=2.5", "binary=target/x"])).unwrap();
        let [(full, Scenario::Unicast(unicast)), (race, Scenario::Boarding(boarding))] = scenarios.as_slice()
        else {
            panic!("{scenarios:?}");
        };
        assert_eq!((full.as_str(), race.as_str()), ("full", "race"));
        assert!(unicast.full_speed && !unicast.no_baseline);
        assert_eq!(unicast.servers.server_args, ["--set", "a=b"]);
        assert_eq!(unicast.run.warm_up_seconds, Duration::from_millis(500));
        assert_eq!(unicast.run.seconds, Duration::from_millis(2_500));
        assert_eq!((unicast.run.output.repeat, boarding.output.repeat), (5, 2));
        assert_eq!(unicast.run.output.bounds.len(), 1);
        assert_eq!(unicast.run.output.json.as_deref(), Some(Path::new("folder/full.json")));
        assert_eq!(boarding.output.plots.as_deref(), Some(Path::new("folder/race")));
        assert_eq!((boarding.vehicles, boarding.servers.binary.as_path()), (3, Path::new("target/x")));
        let scenarios = read(FILE, &suite(&["race"], &["repeat=1"])).unwrap();
        let [(_, Scenario::Boarding(race))] = scenarios.as_slice() else { panic!("{scenarios:?}") };
        assert_eq!((race.output.repeat, race.vehicles), (1, 3));
    }

    #[test]
    fn a_scenario_has_the_same_options_under_either_of_its_names() {
        for name in ["queries", "reservoir"] {
            let text =
                format!("[defaults]\npools = 3\n[[scenario]]\nname = \"a\"\nrun = \"{name}\"\nhttp = true\n");
            let scenarios = read(&text, &suite(&[], &["max-results=7"])).unwrap();
            let [(_, Scenario::Queries(queries))] = scenarios.as_slice() else { panic!("{scenarios:?}") };
            assert!(queries.http);
            assert_eq!((queries.pools, queries.max_results), (3, 7));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_the_scenario_s_name() {
        let one = |line: &str| format!("[[scenario]]\nname = \"a\"\nrun = \"unicast\"\n{line}\n");
        for (line, word) in [
            ("nosuch = 1", "unexpected argument '--nosuch'"),
            ("pairs = \"many\"", "invalid value 'many' for '--pairs"),
            ("pairs = true", "a value is required for '--pairs"),
            ("full-speed = \"yes\"", "unexpected value 'yes' for '--full-speed'"),
            ("pairs = { a = 1 }", "pairs is a table"),
            ("assert = [\"latency\"]", "a bound is FIGURE<VALUE"),
        ] {
            let refusal = refusal(&one(line), &[]);
            assert!(refusal.starts_with("scenario \"a\": ") && refusal.contains(word), "{line}: {refusal}");
        }
        let no_scenario = one("").replace("unicast", "compare");
        assert!(refusal(&no_scenario, &[]).contains("scenario \"a\""));
        assert!(refusal(&format!("{0}{0}", one("")), &[]).contains("two scenarios are called \"a\""));
        assert!(refusal(&one("").replace("\"a\"", "\"../a\""), &[]).contains("is no name for files"));
        assert!(refusal(&format!("[defaults]\nnosuch = 1\n{}", one("")), &[]).contains("\"nosuch\""));
        assert!(refusal("[default]\n", &[]).contains("unknown field `default`"));
        assert!(refusal(&one(""), &["nosuch=1"]).contains("\"nosuch\""));
        assert!(refusal(&one(""), &["pairs"]).contains("is not OPTION=VALUE"));
        let unknown = read(&one(""), &suite(&["b"], &[])).unwrap_err();
        assert_eq!(unknown.to_string(), "no scenario is called \"b\"");
    }

    #[test]
    fn the_files_of_this_folder_are_right() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut files = 0;
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let scenarios = read(&fs::read_to_string(&path).unwrap(), &suite(&[], &[]));
            assert!(!scenarios.unwrap_or_else(|error| panic!("{}: {error:#}", path.display())).is_empty());
            files += 1;
        }
        assert!(files > 0);
    }
}
