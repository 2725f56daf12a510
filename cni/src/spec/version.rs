//! The versions of the CNI specification that the plugin speaks, and what each of them can carry.

/// A version of the CNI specification, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 0.3.0: `interfaces` and `ips` arrive.
    V0_3_0,
    /// 0.3.1.
    V0_3_1,
    /// 0.4.0: CHECK arrives.
    V0_4_0,
    /// 1.0.0: `ips[].version` goes.
    V1_0_0,
    /// 1.1.0: GC, STATUS, and more fields of interfaces and routes.
    V1_1_0,
}

/// What a missing `cniVersion` stands for: `ConfigDecoder` of libcni's `pkg/version`. (The specification requires the field
/// since 0.2.0.)
pub const MISSING: &str = "0.1.0";

/// A version that the plugin does not speak (code 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cniVersion {}; use one of {}", said(requested.as_deref()), Version::list())]
pub struct UnsupportedVersion {
    /// As the configuration has it; none where it has none.
    pub requested: Option<String>,
}

fn said(requested: Option<&str>) -> String {
    match requested {
        Some(requested) => format!("{requested:?} is not supported"),
        None => format!("is missing in the network configuration, which stands for {MISSING:?} and is not supported"),
    }
}

impl Version {
    /// All versions, oldest first.
    pub const ALL: [Self; 5] = [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];
    /// The newest.
    pub const LATEST: Self = Self::V1_1_0;

    /// As `cniVersion` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Reads `cniVersion`.
    ///
    /// # Errors
    /// The plugin does not speak that version.
    pub fn parse(requested: &str) -> Result<Self, UnsupportedVersion> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == requested)
            .ok_or_else(|| UnsupportedVersion { requested: Some(requested.to_owned()) })
    }

    /// Reads `cniVersion` where it may be missing, as libcni does: empty is missing, too.
    ///
    /// # Errors
    /// It is missing, which stands for [`MISSING`], or the plugin does not speak that version.
    pub fn of_config(requested: Option<&str>) -> Result<Self, UnsupportedVersion> {
        let requested = requested.filter(|text| !text.is_empty());
        Self::parse(requested.ok_or(UnsupportedVersion { requested: None })?)
    }

    /// Whether `ips[].version` is required; from 1.0.0 on it must not be there.
    #[must_use]
    pub fn marks_ip_family(self) -> bool {
        self < Self::V1_0_0
    }

    /// Whether interfaces carry `mtu`, `socketPath`, `pciID`, and routes `mtu`, `advmss`, `priority`, `table`, `scope`.
    #[must_use]
    pub fn has_link_details(self) -> bool {
        self >= Self::V1_1_0
    }

    fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_reads_back_as_itself() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.as_str()), Ok(version));
        }
    }

    #[test]
    fn a_version_that_is_missing_is_named_as_missing() {
        for missing in [None, Some("")] {
            let error = Version::of_config(missing).unwrap_err().to_string();
            assert!(error.starts_with("cniVersion is missing") && error.contains("use one of 0.3.0"), "{error}");
        }
        assert_eq!(Version::of_config(Some("1.0.0")), Ok(Version::V1_0_0));
        assert!(Version::of_config(Some(MISSING)).unwrap_err().to_string().contains("\"0.1.0\" is not supported"));
    }

    #[test]
    fn other_versions_are_named_with_what_is_spoken() {
        for requested in [MISSING, "0.2.0", "1.2.0", "1", "v1.0.0", ""] {
            let error = Version::parse(requested).unwrap_err().to_string();
            assert!(error.contains(&format!("{requested:?}")) && error.contains("0.3.0, 0.3.1"), "{error}");
        }
    }
}
