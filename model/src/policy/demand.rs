//! How much policies ask for.

/// How much a table needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Demand {
    /// Entries of the policy map: each peer times each port prefix of its rule. A CIDR counts once for itself and once for
    /// each other prefix of the table within it.
    pub keys: usize,
    /// Prefixes of the block map: CIDRs and their exceptions.
    pub prefixes: usize,
    /// Selectors of peers.
    pub selectors: usize,
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// [`Demand::keys`].
    Keys,
    /// [`Demand::prefixes`].
    Prefixes,
    /// [`Demand::selectors`].
    Selectors,
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keys => "pairs of a peer and a port",
            Self::Prefixes => "CIDRs and exceptions",
            Self::Selectors => "selectors of peers",
        })
    }
}

/// A measure that exceeds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Excess {
    /// Of what.
    pub measure: Measure,
    /// How much was asked for.
    pub asked: usize,
    /// How much may be.
    pub limit: usize,
}

impl Demand {
    /// The first measure that exceeds a limit.
    #[must_use]
    pub fn excess(&self, limit: &Self) -> Option<Excess> {
        let measures = [
            (Measure::Keys, self.keys, limit.keys),
            (Measure::Prefixes, self.prefixes, limit.prefixes),
            (Measure::Selectors, self.selectors, limit.selectors),
        ];
        let found = measures.into_iter().find(|(_, asked, limit)| asked > limit);
        found.map(|(measure, asked, limit)| Excess { measure, asked, limit })
    }

    pub(super) const fn add(&mut self, other: Self) {
        self.keys = self.keys.saturating_add(other.keys);
        self.prefixes = self.prefixes.saturating_add(other.prefixes);
        self.selectors = self.selectors.saturating_add(other.selectors);
    }

    pub(super) const fn subtract(&mut self, other: Self) {
        self.keys = self.keys.saturating_sub(other.keys);
        self.prefixes = self.prefixes.saturating_sub(other.prefixes);
        self.selectors = self.selectors.saturating_sub(other.selectors);
    }

    /// How greedy it is, in one number: prefixes and selectors multiply others' keys, too.
    pub(super) const fn weight(&self) -> usize {
        self.keys.saturating_add(self.prefixes.saturating_mul(8)).saturating_add(self.selectors.saturating_mul(8))
    }
}
