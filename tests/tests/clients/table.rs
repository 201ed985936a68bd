//! The table in `docs/clients.md`: made by the test, checked in, compared without its versions.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) client: &'static str,
    pub(crate) version: String,
    pub(crate) proxy: &'static str,
    pub(crate) trust: &'static str,
    pub(crate) program: &'static str,
}

/// Set to rewrite the table instead of comparing it.
const UPDATE: &str = "AUTHSOME_UPDATE_DOCS";

const BEGIN: &str = "<!-- table: made by tests/tests/clients.rs -->\n";
const END: &str = "<!-- end of table -->\n";

/// Compares the table in the docs with these lines, all of which got their 200, or rewrites it.
pub(crate) fn check(lines: &[Line]) {
    let path = path();
    let text = fs::read_to_string(&path).expect("docs/clients.md is there");
    let (before, rest) = text.split_once(BEGIN).expect("the table begins somewhere");
    let (table, after) = rest.split_once(END).expect("the table ends somewhere");
    let made = table_of(lines);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(path, format!("{before}{BEGIN}{made}{END}{after}")).expect("it can be written");
        return;
    }
    assert_eq!(
        without_versions(table),
        without_versions(&made),
        "docs/clients.md is not what the test saw: run it with {UPDATE}=1 and commit the file"
    );
}

fn table_of(lines: &[Line]) -> String {
    let mut text =
        "| client | version | finds the proxy by | trusts the run's CA by | the program \
                    itself | result |\n| --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for line in lines {
        let Line {
            client,
            version,
            proxy,
            trust,
            program,
        } = line;
        writeln!(
            text,
            "| {client} | {version} | {proxy} | {trust} | {program} | 200 |"
        )
        .expect("text can be written");
    }
    text
}

fn without_versions(table: &str) -> Vec<String> {
    let lines = table.lines().map(|line| {
        let mut cells: Vec<_> = line.split('|').collect();
        if cells.len() > 2 {
            cells.remove(2);
        }
        cells.join("|")
    });
    lines.collect()
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients.md")
}
