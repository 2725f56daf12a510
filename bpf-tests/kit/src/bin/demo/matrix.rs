//! Who reaches whom: everyone asks everyone else, by both families and all protocols.

use std::{fmt, net::IpAddr, time::Duration};

use test_kit::{
    topology::Netns,
    traffic::{Protocol, probe},
};

/// A pod or a node.
pub struct End<'a> {
    /// How it is called in the table.
    pub name: String,
    /// Where it is.
    pub netns: &'a Netns,
    /// Where its servers listen.
    pub addresses: Vec<IpAddr>,
}

/// What everyone's questions came to.
pub struct Matrix {
    names: Vec<String>,
    tables: Vec<Table>,
    failures: Vec<String>,
}

/// One family and one protocol: rows ask, columns answer.
struct Table {
    title: String,
    cells: Vec<Vec<Cell>>,
}

enum Cell {
    /// Nobody asks itself.
    Own,
    Reached(Duration),
    Failed,
}

impl Matrix {
    /// Asks.
    pub fn measure(ends: &[End<'_>]) -> Self {
        let mut matrix =
            Self { names: ends.iter().map(|end| end.name.clone()).collect(), tables: Vec::new(), failures: Vec::new() };
        for (v4, family) in [(true, "IPv4"), (false, "IPv6")] {
            for protocol in Protocol::ALL {
                let row = |from: &End<'_>| ends.iter().map(|to| matrix_cell(from, to, v4, protocol)).collect();
                let results: Vec<Vec<_>> = ends.iter().map(row).collect();
                let cells = results
                    .into_iter()
                    .map(|row| {
                        row.into_iter()
                            .map(|result| {
                                result.unwrap_or_else(|failure| {
                                    matrix.failures.push(failure);
                                    Cell::Failed
                                })
                            })
                            .collect()
                    })
                    .collect();
                matrix.tables.push(Table { title: format!("{family} {protocol}"), cells });
            }
        }
        matrix
    }

    /// Whether everyone was reached.
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty()
    }
}

fn matrix_cell(from: &End<'_>, to: &End<'_>, v4: bool, protocol: Protocol) -> Result<Cell, String> {
    if from.name == to.name {
        return Ok(Cell::Own);
    }
    let Some(address) = to.addresses.iter().find(|address| address.is_ipv4() == v4) else {
        return Err(format!("{} has no address of the family that {} asks by", to.name, from.name));
    };
    let answer = probe(from.netns, *address, protocol);
    answer.map(Cell::Reached).map_err(|error| format!("{} → {}: {error:#}", from.name, to.name))
}

/// How wide a column is.
const WIDTH: usize = 13;

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWho reaches whom: rows ask, columns answer; the time of one exchange")?;
        for table in &self.tables {
            write!(f, "\n{:<WIDTH$}", table.title)?;
            self.names.iter().try_for_each(|name| write!(f, " {name:>WIDTH$}"))?;
            for (name, row) in self.names.iter().zip(&table.cells) {
                write!(f, "\n{name:<WIDTH$}")?;
                row.iter().try_for_each(|cell| write!(f, " {:>WIDTH$}", cell.to_string()))?;
            }
            writeln!(f)?;
        }
        let cells = || self.tables.iter().flat_map(|table| table.cells.iter().flatten());
        let reached = cells().filter(|cell| matches!(cell, Cell::Reached(_))).count();
        writeln!(f, "\n{reached} of {} reached", reached + self.failures.len())?;
        self.failures.iter().try_for_each(|failure| writeln!(f, "  {failure}"))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("·"),
            Self::Reached(time) => write!(f, "{} µs", time.as_micros()),
            Self::Failed => f.write_str("FAILED"),
        }
    }
}
