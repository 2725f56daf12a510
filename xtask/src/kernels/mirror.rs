//! Where Debian's packages come from: the mirror that this machine uses where it is Debian's, else Debian's own.

use std::{fs, process::Command};

const DEBIAN: &str = "http://deb.debian.org/debian";
/// Where suites go when they are no longer served elsewhere.
const ARCHIVE: &str = "http://archive.debian.org/debian";

/// The mirrors to try, in this order.
pub fn all() -> Vec<String> {
    let own = is_debian().then(configured).flatten();
    vec![own.unwrap_or_else(|| DEBIAN.into()), ARCHIVE.into()]
}

fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|line| line == "ID=debian"))
}

/// The archive that apt is set up to use.
fn configured() -> Option<String> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
    let text = String::from_utf8(apt.output().ok()?.stdout).ok()?;
    text.lines().map(|line| line.trim_end_matches('/')).find(|line| line.ends_with("/debian")).map(str::to_owned)
}
