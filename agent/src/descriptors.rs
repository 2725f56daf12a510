//! How many files and sockets the process may have open: connections to its listeners are bounded, and leave the rest to maps,
//! netlink, pods' namespaces and the API server.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More than the agent ever needs: each pod's ADD opens a few, each listener has its own bound.
const ENOUGH: u64 = 65_536;

/// Raises the soft limit as far as the hard one and [`ENOUGH`] let it. Where the kernel refuses, the agent goes on with what it
/// has.
pub fn raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(ENOUGH).max(soft);
        if wanted == soft { Ok(()) } else { setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) }
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_follows_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 256.min(hard), hard).unwrap();
        raise();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard.min(ENOUGH), hard));
    }
}
