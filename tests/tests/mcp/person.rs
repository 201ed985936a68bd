//! The person at the login page.

use authsome_tests::{Canary, Home};

/// Opens the page, enters `key` and sends the form; panics unless that was taken.
#[track_caller]
pub(crate) fn enter(home: &Home, url: &str, key: &Canary) {
    let page = home.command("curl").args(["-sS", url]).output().succeeded();
    let token = page
        .stdout
        .split_once("name=\"token\" value=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .unwrap_or_else(|| panic!("no form: {page}"))
        .0
        .to_owned();
    let origin: Vec<&str> = url.splitn(4, '/').collect();
    let output = home
        .command("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"])
        .args(["-H", &format!("Origin: {}//{}", origin[0], origin[2])])
        .args(["--data-urlencode", &format!("token={token}")])
        .args(["--data-urlencode", "key@-", url])
        .stdin(key.secret())
        .output()
        .succeeded();
    assert_eq!(output.stdout, "200", "{output}");
}

/// The status of the page; `000` where nobody listens.
pub(crate) fn status(home: &Home, url: &str) -> String {
    let curl = home
        .command("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", url]);
    curl.output().stdout
}
