mod cost;
mod properties;
mod reading;
mod semantics;
mod shares;
mod steps;
mod text;

use super::Limits;

const LIMITS: Limits =
    Limits { frontends: 1000, backends: 10_000, members: 10_000, of_one: 1000, sets: 1 << 24, parts: 1, kept: 0 };
