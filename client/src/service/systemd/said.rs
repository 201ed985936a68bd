//! What `systemctl` prints, understood.

use std::path::PathBuf;

use crate::service::Told;

/// A variable in the output of `show-environment`. Values with special characters are quoted there;
/// those of paths with none are not.
pub(super) fn variable(listing: &str, name: &str) -> Option<String> {
    let line = listing
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(
        match line
            .strip_prefix("$'")
            .and_then(|rest| rest.strip_suffix('\''))
        {
            Some(quoted) => quoted.replace("\\'", "'").replace("\\\\", "\\"),
            None => line.to_owned(),
        },
    )
}

/// What `systemctl show` printed for two units.
pub(super) fn told_of(text: &str, socket: &str) -> Told {
    let mut told = Told {
        listens: false,
        sockets: "unknown".into(),
        daemon: "unknown".into(),
        pid: None,
        stale: false,
        file: None,
    };
    for unit in text.split("\n\n") {
        let of = |name: &str| {
            unit.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
        };
        let mut words = format!("{} ({})", of("ActiveState"), of("SubState"));
        if of("LoadState") != "loaded" {
            of("LoadState").clone_into(&mut words);
        } else if !matches!(of("Result"), "" | "success") {
            words = format!("{words}: {}", of("Result"));
        }
        told.stale |= of("NeedDaemonReload") == "yes";
        if of("Id") == socket {
            told.listens = of("ActiveState") == "active";
            told.sockets = words;
            told.file = Some(of("FragmentPath"))
                .filter(|path| !path.is_empty())
                .map(PathBuf::from);
        } else {
            told.daemon = words;
            told.pid = of("MainPID").parse().ok().filter(|pid| *pid > 0);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_manager_shows_is_understood() {
        let text = "Result=success\nNeedDaemonReload=no\nId=authsome.socket\nLoadState=loaded\n\
             ActiveState=active\nSubState=running\nFragmentPath=/u/authsome.socket\n\n\
             MainPID=42\nResult=exit-code\nNeedDaemonReload=yes\nId=authsome.service\n\
             LoadState=loaded\nActiveState=failed\nSubState=failed\nFragmentPath=/u/x\n";
        assert_eq!(
            told_of(text, "authsome.socket"),
            Told {
                listens: true,
                sockets: "active (running)".into(),
                daemon: "failed (failed): exit-code".into(),
                pid: Some(42),
                stale: true,
                file: Some("/u/authsome.socket".into()),
            }
        );
        let absent = "MainPID=0\nId=authsome.service\nLoadState=not-found\nActiveState=inactive\n";
        let told = told_of(absent, "authsome.socket");
        assert_eq!((told.pid, told.daemon.as_str()), (None, "not-found"));
    }

    #[test]
    fn variables_of_the_manager_are_read_with_and_without_quotes() {
        let listing = "HOME=/home/u\nXDG_CONFIG_HOME=$'/a b/it\\'s'\n";
        assert_eq!(variable(listing, "HOME").unwrap(), "/home/u");
        assert_eq!(variable(listing, "XDG_CONFIG_HOME").unwrap(), "/a b/it's");
        assert_eq!(variable(listing, "XDG_CONFIG"), None);
    }
}
