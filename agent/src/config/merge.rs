//! Flags over the file: every setting is taken from the first that gives it.

/// A struct of settings, none where nobody gave one, with `or`, which thereby knows all of them.
macro_rules! settings {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$given:meta])* pub $setting:ident: $kind:ty,)* }) => {
        $(#[$about])*
        pub struct $name { $($(#[$given])* pub $setting: $kind,)* }

        impl $name {
            /// These settings, and `other`'s where they are unset.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($setting: self.$setting.or(other.$setting),)* }
            }
        }
    };
}

pub(super) use settings;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args, Command};

    use crate::config::Options;

    /// Every key of the file, with a value that is no default.
    const EVERY: &str = include_str!("every.toml");

    fn options(table: &toml::Table) -> Options {
        toml::from_str(&table.to_string()).unwrap()
    }

    #[test]
    fn every_flag_is_a_key_of_the_file() {
        let every: toml::Table = EVERY.parse().unwrap();
        let command = Options::augment_args(Command::new("agent"));
        let flags: BTreeSet<&str> = command.get_arguments().filter_map(|flag| flag.get_long()).collect();
        assert_eq!(every.keys().map(String::as_str).collect::<BTreeSet<_>>(), flags);
        assert_eq!(flags.len(), command.get_arguments().count(), "each has a long name");
        options(&every);
    }

    #[test]
    fn no_setting_is_lost_where_flags_and_file_meet() {
        let every: toml::Table = EVERY.parse().unwrap();
        for (key, value) in every.clone() {
            let one = options(&toml::Table::from_iter([(key.clone(), value)]));
            assert_ne!(one, Options::default(), "{key}");
            assert_eq!(one.clone().or(Options::default()), one, "{key}, as a flag");
            assert_eq!(Options::default().or(one.clone()), one, "{key}, in the file");
        }
        let every = options(&every);
        assert_eq!(every.clone().or(Options::default()), every);
        assert_eq!(Options::default().or(every.clone()), every);
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let flag = Options { mtu: Some(1400), ..Options::default() };
        let file = Options { mtu: Some(9000), node_name: Some("n1".into()), ..Options::default() };
        let both = flag.or(file);
        assert_eq!((both.mtu, both.node_name.as_deref()), (Some(1400), Some("n1")));
    }
}
