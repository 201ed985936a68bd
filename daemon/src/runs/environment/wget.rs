//! `wgetrc` of a run: wget reads no variable for its roots, only this file.
//!
//! `WGETRC` takes the place of `~/.wgetrc`, so the parent's own file is copied in front. Ours comes
//! last and wins; a CA that the parent's file names goes into the bundle instead.

/// Begins our part; what follows it in a parent's file was written by an outer run.
const MARKER: &str = "# added by authsome for this run; it ends with it";

/// The file for a run: the parent's lines, then the bundle.
pub(super) fn compose(parent: &[u8], bundle: &str) -> Vec<u8> {
    let mut text = own_part(parent).to_vec();
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend_from_slice(format!("{MARKER}\nca_certificate = {bundle}\n").as_bytes());
    text
}

/// The file of CA certificates that the parent's own lines name, if they do.
pub(super) fn ca_certificate(parent: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(own_part(parent));
    let mut values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        // wget takes `CA-Certificate` and `cacertificate` for the same
        let name = name.trim().to_ascii_lowercase().replace(['-', '_'], "");
        (name == "cacertificate").then(|| value.trim().to_owned())
    });
    values.next_back().filter(|value| !value.is_empty())
}

fn own_part(parent: &[u8]) -> &[u8] {
    let marker = MARKER.as_bytes();
    let end = parent
        .windows(marker.len())
        .position(|window| window == marker);
    end.and_then(|end| parent.get(..end)).unwrap_or(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parents_lines_stay_and_a_run_in_a_run_replaces_ours() {
        let outer = compose(
            b"tries = 3\nCA-Certificate=/etc/corp.pem",
            "/run/outer/bundle.pem",
        );
        let inner = compose(&outer, "/run/inner/bundle.pem");
        assert_eq!(
            String::from_utf8(inner.clone()).unwrap(),
            format!(
                "tries = 3\nCA-Certificate=/etc/corp.pem\n{MARKER}\n\
                 ca_certificate = /run/inner/bundle.pem\n"
            )
        );
        assert_eq!(ca_certificate(&inner).as_deref(), Some("/etc/corp.pem"));
        assert_eq!(ca_certificate(&compose(b"", "/x")), None);
    }
}
