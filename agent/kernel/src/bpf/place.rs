//! Where our filter stands among those of a device that is not ours alone.

use ferrule_common::Program;

use super::hook::{HANDLE, PRIORITY};
use crate::net::filter::Filter;

/// A filter's place on a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Priority; the lower runs first.
    pub priority: u16,
    /// Minor handle.
    pub handle: u16,
}

/// What a hook's filters mean for one of our programs.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where the program goes.
    pub place: Place,
    /// Whether a filter of ours is there, to be replaced.
    pub replaces: bool,
    /// Filters of ours that have no business here any more.
    pub stale: Vec<Place>,
    /// Others' filters that run before, in words.
    pub before: Vec<String>,
}

/// Finds the program's own filter, else the first priority that nobody has. Others' filters are never replaced.
pub fn plan(filters: &[Filter], program: Program) -> Plan {
    let real = || filters.iter().filter(|filter| filter.handle != 0);
    let mut own = real().filter(|filter| filter.name.as_deref() == Some(program.name())).map(place);
    let found = own.next();
    let free = || (PRIORITY..).find(|priority| filters.iter().all(|filter| filter.priority != *priority));
    let place = found.unwrap_or_else(|| Place { priority: free().unwrap_or(u16::MAX), handle: HANDLE });
    let stale = ours(filters).into_iter().filter(|other| *other != place).collect();
    let before = real().filter(|filter| filter.priority < place.priority && !is_ours(filter)).map(words).collect();
    Plan { place, replaces: found.is_some(), stale, before }
}

/// Every filter that runs a program of one of our names.
pub fn ours(filters: &[Filter]) -> Vec<Place> {
    filters.iter().filter(|filter| is_ours(filter)).map(place).collect()
}

fn is_ours(filter: &Filter) -> bool {
    filter.handle != 0
        && filter.kind == "bpf"
        && filter.name.as_deref().is_some_and(|name| Program::ALL.iter().any(|program| program.name() == name))
}

fn place(filter: &Filter) -> Place {
    Place { priority: filter.priority, handle: filter.handle }
}

fn words(filter: &Filter) -> String {
    let name = filter.name.as_deref().map_or(String::new(), |name| format!(" {name}"));
    format!("{}{name} at priority {}", filter.kind, filter.priority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(priority: u16, handle: u16, name: &str) -> Filter {
        Filter { priority, handle, kind: "bpf".into(), name: (!name.is_empty()).then(|| name.into()) }
    }

    fn check(filters: &[Filter], expected: (u16, u16, bool, usize, usize)) {
        let plan = plan(filters, Program::FromNetdev);
        let found = (plan.place.priority, plan.place.handle, plan.replaces, plan.stale.len(), plan.before.len());
        assert_eq!(found, expected, "{filters:?} gave {plan:?}");
    }

    #[test]
    fn an_empty_hook_gives_the_first_place() {
        check(&[], (1, 1, false, 0, 0));
    }

    #[test]
    fn our_own_filter_is_replaced_where_it_stands() {
        // The kernel lists a priority itself, with handle 0, before its filters.
        check(&[filter(1, 0, ""), filter(1, 1, "from_netdev")], (1, 1, true, 0, 0));
        check(&[filter(1, 1, "theirs"), filter(2, 1, "from_netdev")], (2, 1, true, 0, 1));
    }

    #[test]
    fn anothers_filter_is_never_replaced() {
        check(&[filter(1, 0, ""), filter(1, 1, "theirs")], (2, 1, false, 0, 1));
        check(&[filter(1, 1, "theirs"), filter(2, 5, "more")], (3, 1, false, 0, 2));
        check(&[filter(7, 1, "theirs")], (1, 1, false, 0, 0));
        let flower = Filter { priority: 1, handle: 1, kind: "flower".into(), name: None };
        check(&[flower], (2, 1, false, 0, 1));
    }

    #[test]
    fn a_second_filter_of_ours_is_stale() {
        check(&[filter(1, 1, "from_netdev"), filter(2, 1, "from_netdev")], (1, 1, true, 1, 0));
        check(&[filter(1, 1, "from_overlay")], (2, 1, false, 1, 0));
    }
}
