//! Bad input to a real agent: each gets an error that names the cause and the fix, and loses nothing.

mod objects;
mod preflight;
mod starts;
mod support;
