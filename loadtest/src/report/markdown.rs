//! What was found, as tables in Markdown.

use std::fs;
use std::io;
use std::path::Path;

use super::lines::text;
use super::summary::Summary;

impl Summary {
    /// Writes the tables.
    pub(crate) fn write_markdown(&self, path: &Path) -> io::Result<()> {
        fs::write(path, self.markdown())
    }

    fn markdown(&self) -> String {
        let (runs, heads): (String, &[&str]) = match self.runs.len() {
            1 => ("one run".to_owned(), &["figure", "value"]),
            several => (format!("{several} runs"), &["figure", "median", "min", "max", "merged"]),
        };
        let mut out = format!("# {}\n\n{}; {runs}.\n\n", self.scenario(), self.machine());
        let settings = self.settings().iter().map(|(name, value)| vec![name.clone(), text(value)]);
        out += &table(&["setting", "value"], settings);
        out += "\n";
        let rows = self.rows.iter().map(|row| [vec![row.name.clone()], row.cells(heads.len() - 1)].concat());
        out += &table(heads, rows);
        for (title, texts) in [("Warnings", &self.warnings), ("Failures", &self.failures)] {
            if !texts.is_empty() {
                out += &format!("\n## {title}\n\n");
                texts.iter().for_each(|text| out += &format!("* {}\n", escaped(text)));
            }
        }
        out
    }
}

/// The first column is of words, the others of numbers; rows may lack cells at the end.
fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = line(heads);
    out += &line(&[&["---"][..], &vec!["---:"; heads.len() - 1]].concat());
    for mut row in rows {
        row.resize(heads.len(), String::new());
        out += &line(&row);
    }
    out
}

fn line(cells: &[impl AsRef<str>]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| escaped(cell.as_ref())).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Without what would end a cell or a line.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::run;
    use super::*;

    #[test]
    fn one_run_has_one_column_and_several_have_their_spread() {
        let mut single = run(&[100], 10.0);
        single.result("endings", "cut | closed");
        single.failure("a\nbound");
        let single = Summary::try_new(vec![single]).unwrap().markdown();
        for part in [
            "# unicast\n\na machine; one run.\n\n| setting | value |\n| --- | ---: |\n| pairs | 4 |\n",
            "\n| figure | value |\n| --- | ---: |\n| messages_per_second | 10 |\n",
            "| endings | \"cut \\| closed\" |\n",
            "\n## Failures\n\n* a bound\n",
        ] {
            assert!(single.contains(part), "{part}\n{single}");
        }
        let several = Summary::try_new([30.0, 10.0].map(|rate| run(&[100], rate)).into()).unwrap().markdown();
        assert!(several.contains("| messages_per_second | 20 | 10 | 30 |  |\n"), "{several}");
        assert!(several.contains("| --- | ---: | ---: | ---: | ---: |\n"), "{several}");
    }
}
