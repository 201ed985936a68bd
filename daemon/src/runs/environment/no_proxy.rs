//! `NO_PROXY` of a run: the parent's list, without what would lead around the proxy.
//!
//! An entry that covers a host with a granted connection would make the client go there directly,
//! with the placeholder, and fail at the server as a mystery. Such entries are dropped, with a
//! warning. Clients read entries differently (whole labels or any suffix; a leading dot or not; `*`
//! anywhere; networks in CIDR form; ports), so an entry counts as covering when *any* known client
//! would take it so.

use std::net::IpAddr;

use crate::routing::HostPattern;

/// Never through the proxy: a program talking to itself or its neighbours on this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The merged list, never empty, and the entries that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) entries: Vec<String>,
    pub(super) dropped: Vec<String>,
}

/// Merges the parent's lists (both spellings) with the loopback names.
pub(super) fn merge<'a>(
    lists: impl IntoIterator<Item = &'a str>,
    granted: &[HostPattern],
) -> Merged {
    let mut merged = Merged {
        entries: LOOPBACK.map(str::to_owned).to_vec(),
        dropped: Vec::new(),
    };
    let entries = lists
        .into_iter()
        .flat_map(|list| list.split(|c: char| c == ',' || c.is_whitespace()))
        .filter(|entry| !entry.is_empty());
    for entry in entries {
        let list =
            if granted.iter().any(|pattern| covers(entry, pattern)) && !LOOPBACK.contains(&entry) {
                &mut merged.dropped
            } else {
                &mut merged.entries
            };
        if !list.iter().any(|known| known.eq_ignore_ascii_case(entry)) {
            list.push(entry.to_owned());
        }
    }
    merged
}

/// The list in the form of Java's `http.nonProxyHosts`: separated by `|`, `*` at one end only.
/// Networks have no form there and are left out: Java asks the proxy for them, which tunnels.
pub(super) fn for_java(entries: &[String]) -> String {
    let mut hosts = vec![
        "localhost".to_owned(),
        "127.*".to_owned(),
        "[::1]".to_owned(),
    ];
    for entry in entries {
        let host = host_of(entry);
        // the value stands in an option string: only what host names are made of
        let plain = host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._:*".contains(c));
        let stars = host.matches('*').count();
        let star_at_end = host.starts_with('*') || host.ends_with('*');
        if !plain || stars > 1 || (stars == 1 && !star_at_end) {
            continue;
        }
        let host = match host.strip_prefix('.') {
            Some(_) => format!("*{host}"),
            None if host.contains(':') => format!("[{host}]"),
            None => host.to_owned(),
        };
        if !LOOPBACK.contains(&host.as_str()) && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts.join("|")
}

fn covers(entry: &str, pattern: &HostPattern) -> bool {
    let entry = host_of(entry).to_ascii_lowercase();
    // a network, `10.0.0.0/8`, can only cover a granted address
    if let Some((network, bits)) = entry.split_once('/') {
        let HostPattern::Exact(host) = pattern else {
            return false;
        };
        let (Ok(network), Ok(bits), Some(address)) = (network.parse(), bits.parse(), host.ip())
        else {
            return false;
        };
        return contains(network, bits, address);
    }
    let suffix = entry.trim_start_matches(['*', '.']).trim_end_matches('.');
    match pattern {
        HostPattern::Exact(host) => {
            let host = host.as_str();
            entry_is_all(&entry) || (!suffix.is_empty() && glob(&format!("*{suffix}"), host))
        }
        HostPattern::Subdomains(parent) => {
            let parent = parent.as_str();
            entry_is_all(&entry)
                || (!suffix.is_empty()
                    && (glob(&format!("*{suffix}"), &format!("x.{parent}"))
                        || suffix.ends_with(&format!(".{parent}"))))
        }
    }
}

fn entry_is_all(entry: &str) -> bool {
    !entry.is_empty() && entry.chars().all(|c| matches!(c, '*' | '.'))
}

/// The entry without scheme, port and the brackets of an IPv6 address.
fn host_of(entry: &str) -> &str {
    let entry = entry.split_once("://").map_or(entry, |(_, rest)| rest);
    if let Some(rest) = entry.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    match entry.split_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => entry,
    }
}

/// Whether `pattern`, in which `*` stands for anything, matches all of `text`.
fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(first) = pieces.next() else {
        return false;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32_u32.saturating_sub(bits);
            let top = |address: u32| address.checked_shr(shift).unwrap_or(0);
            top(network.into()) == top(address.into())
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128_u32.saturating_sub(bits);
            let top = |address: u128| address.checked_shr(shift).unwrap_or(0);
            top(network.into()) == top(address.into())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patterns(list: &[&str]) -> Vec<HostPattern> {
        list.iter()
            .map(|pattern| HostPattern::parse(pattern).unwrap())
            .collect()
    }

    #[test]
    fn entries_that_any_client_reads_as_a_granted_host_are_dropped() {
        let granted = patterns(&["api.intercom.io", "*.zendesk.com", "10.1.2.3"]);
        for entry in [
            "*",
            "api.intercom.io",
            "API.Intercom.IO",
            "api.intercom.io.",
            "api.intercom.io:443",
            "https://api.intercom.io",
            ".intercom.io",
            "*.intercom.io",
            "*intercom.io",
            "intercom.io",
            "io",
            "tercom.io",
            "api.*.io",
            "zendesk.com",
            ".zendesk.com",
            "acme.zendesk.com",
            "*.zendesk.*",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "10.1.2.3",
        ] {
            let merged = merge([entry], &granted);
            assert_eq!(merged.dropped, [entry]);
            assert_eq!(merged.entries, LOOPBACK);
        }
    }

    #[test]
    fn other_entries_stay_as_they_are_written() {
        let granted = patterns(&["api.intercom.io", "*.zendesk.com", "10.1.2.3"]);
        for entry in [
            "corp.example",
            ".corp.example",
            "*.corp.example:8080",
            "api.intercom.io.evil.example",
            "www.intercom.io",
            "192.168.0.0/16",
            "2001:db8::/32",
            "[fd00::1]:8080",
            "169.254.169.254",
            "192.168.*",
            "<local>",
        ] {
            let merged = merge([entry], &granted);
            assert!(merged.dropped.is_empty(), "{entry}");
            assert_eq!(merged.entries.last().unwrap(), entry);
        }
    }

    #[test]
    fn both_spellings_are_merged_without_repetition_and_a_run_in_a_run_adds_nothing() {
        let merged = merge(["a.example, LOCALHOST", "A.example b.example"], &[]);
        assert_eq!(
            merged.entries,
            ["localhost", "127.0.0.1", "::1", "a.example", "b.example"]
        );
        let list = merged.entries.join(",");
        assert_eq!(merge([list.as_str(), list.as_str()], &[]), merged);
    }

    #[test]
    fn loopback_stays_even_where_it_is_granted() {
        let merged = merge(["localhost"], &patterns(&["localhost"]));
        assert_eq!(merged.entries, LOOPBACK);
    }

    #[test]
    fn java_gets_the_forms_it_knows() {
        let entries = [
            "localhost",
            "127.0.0.1",
            "::1",
            ".corp.example",
            "*.x.example",
            "y.example",
        ]
        .into_iter()
        .chain([
            "10.0.0.0/8",
            "192.168.*",
            "fd00::2",
            "z.example:8080",
            "a b\"",
            "q.*.r",
        ])
        .map(str::to_owned)
        .collect::<Vec<_>>();
        assert_eq!(
            for_java(&entries),
            "localhost|127.*|[::1]|*.corp.example|*.x.example|y.example|192.168.*|[fd00::2]|z.example"
        );
    }

    proptest! {
        #[test]
        fn an_entry_that_names_the_end_of_a_granted_host_never_stays(
            host in "[a-z]{1,5}(\\.[a-z]{1,5}){1,3}", skip in 0_usize..3, dot in any::<bool>()
        ) {
            let labels: Vec<_> = host.split('.').collect();
            let tail = labels[skip.min(labels.len() - 1)..].join(".");
            prop_assume!(!LOOPBACK.contains(&tail.as_str()));
            let entry = format!("{}{tail}", if dot { "." } else { "" });
            let merged = merge([entry.as_str()], &patterns(&[&host]));
            prop_assert_eq!(merged.entries, LOOPBACK);
        }

        #[test]
        fn no_list_makes_the_merge_panic(list in "\\PC{0,60}") {
            let merged = merge([list.as_str()], &patterns(&["api.intercom.io", "*.x.io"]));
            for_java(&merged.entries);
        }
    }
}
