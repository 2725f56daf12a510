//! Strongly connected components (Tarjan, 1972).

use std::collections::BTreeMap;

use super::imports::Imports;

/// The components of two members and more.
pub fn of(imports: &Imports) -> Vec<Vec<usize>> {
    let mut search = Search::default();
    for (from, to) in imports.keys() {
        search.edges.entry(*from).or_default().push(*to);
    }
    let starts: Vec<usize> = search.edges.keys().copied().collect();
    for start in starts {
        if !search.numbers.contains_key(&start) {
            search.visit(start);
        }
    }
    search.found
}

#[derive(Default)]
struct Search {
    edges: BTreeMap<usize, Vec<usize>>,
    /// In the order of visits.
    numbers: BTreeMap<usize, usize>,
    /// The earliest that each reaches.
    earliest: BTreeMap<usize, usize>,
    stack: Vec<usize>,
    found: Vec<Vec<usize>>,
}

impl Search {
    fn visit(&mut self, module: usize) {
        let number = self.numbers.len();
        self.numbers.insert(module, number);
        self.earliest.insert(module, number);
        self.stack.push(module);
        for next in self.edges.get(&module).cloned().unwrap_or_default() {
            let reached = match self.numbers.get(&next) {
                None => {
                    self.visit(next);
                    self.earliest[&next]
                }
                Some(number) if self.stack.contains(&next) => *number,
                Some(_) => continue,
            };
            let earliest = self.earliest[&module].min(reached);
            self.earliest.insert(module, earliest);
        }
        if self.earliest[&module] == number {
            let at = self.stack.iter().position(|one| *one == module).unwrap_or_default();
            let mut component = self.stack.split_off(at);
            if component.len() > 1 {
                component.sort_unstable();
                self.found.push(component);
            }
        }
    }
}
