//! Manual pages, as `man` and `mandoc` read them.

use std::collections::BTreeMap;
use std::path::Path;

use authsome_tests::Home;

fn pages(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn formatters_find_nothing_wrong_with_any_page() {
    let home = Home::new();
    let folder = home.work().join("man");
    home.authsome(["man"])
        .arg(&folder)
        .env("SOURCE_DATE_EPOCH", "1795305600")
        .output()
        .succeeded();
    let names: Vec<String> = pages(&folder).into_keys().collect();
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        let page = folder.join(name);
        let lint = home
            .command("mandoc")
            .args(["-Tlint", "-Wwarning"])
            .arg(&page)
            .output()
            .succeeded();
        assert_eq!(lint.stdout, "", "{name}");
        // as man(1) of Debian's own checks does it
        let man = home
            .command("man")
            .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(&page)
            .env("MANROFFSEQ", "")
            .env("MANWIDTH", "80")
            .output()
            .succeeded();
        assert_eq!(man.stderr, "", "{name}");
    }
    assert_eq!(home.daemon_pid(), None);
}

#[test]
fn pages_depend_on_nothing_but_the_build() {
    let home = Home::new();
    let (first, second) = (home.work().join("first"), home.work().join("second"));
    for (folder, zone) in [(&first, "UTC"), (&second, "Asia/Tokyo")] {
        home.authsome(["man"])
            .arg(folder)
            .env("TZ", zone)
            .env("COLUMNS", "40")
            .output()
            .succeeded();
    }
    assert_eq!(pages(&first), pages(&second));
}

#[test]
fn every_command_of_the_help_has_a_page_and_the_configuration_is_whole() {
    let home = Home::new();
    let folder = home.work().join("man");
    home.authsome(["man"]).arg(&folder).output().succeeded();
    let pages = pages(&folder);
    let help = home.authsome(["--help"]).output().succeeded().stdout;
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.contains(&"run"), "{commands:?}");
    for command in commands {
        assert!(
            pages.contains_key(&format!("authsome-{command}.1")),
            "{command}"
        );
    }
    // the README is where every key of the configuration is to stand
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("## Configuration").unwrap();
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    let keys = block.lines().filter_map(|line| {
        let key = line.split_once('=')?.0.trim();
        key.chars()
            .all(|c| c.is_ascii_lowercase() || c == '_')
            .then_some(key)
    });
    let keys: Vec<&str> = keys.filter(|key| !key.is_empty()).collect();
    assert!(keys.len() >= 6, "{keys:?}");
    let page = &pages["authsome-config.5"];
    for key in keys {
        assert!(page.contains(&format!(".BR {key} ")), "{key}");
    }
}
