//! Makes an input of others.

use super::random::Random;

/// The most changes at once.
const CHANGES: usize = 6;
/// The most bytes of one change.
const PART: usize = 64;
/// Numbers at the edges of fields.
const EDGES: [u8; 10] = [0, 1, 2, 0x0f, 0x10, 0x40, 0x7f, 0x80, 0xfe, 0xff];

/// Makes inputs.
#[derive(Debug)]
pub struct Mutator<'a> {
    /// What decides.
    pub random: &'a mut Random,
    /// Inputs that are changed and put together.
    pub pool: &'a [Vec<u8>],
    /// Words of the language, if it is text.
    pub words: &'a [&'a str],
}

impl Mutator<'_> {
    /// An input of at most `longest` bytes.
    pub fn input(&mut self, longest: usize) -> Vec<u8> {
        let mut input = self.random.one(self.pool).cloned().unwrap_or_default();
        for _ in 0..=self.random.below(CHANGES) {
            if self.words.is_empty() || self.random.below(4) == 0 {
                self.change_bytes(&mut input);
            } else {
                self.change_text(&mut input);
            }
        }
        input.truncate(longest);
        input
    }

    fn change_bytes(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len());
        match self.random.below(8) {
            0 => {
                let bit = 1 << self.random.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bit;
                }
            }
            1 => {
                let edge = self.random.one(&EDGES).copied().unwrap_or(0);
                if let Some(byte) = input.get_mut(at) {
                    *byte = edge;
                }
            }
            2 => {
                let byte = self.random.byte();
                if let Some(old) = input.get_mut(at) {
                    *old = byte;
                }
            }
            3 => {
                // A number of two bytes, in network byte order, a little more or less.
                let step = u16::from(self.random.byte() % 32);
                if let Some(pair) = input.get_mut(at..at + 2) {
                    let number = u16::from_be_bytes([pair[0], pair[1]]);
                    let moved =
                        if step.is_multiple_of(2) { number.wrapping_add(step) } else { number.wrapping_sub(step) };
                    pair.copy_from_slice(&moved.to_be_bytes());
                }
            }
            4 => drop(input.drain(self.random.part(input.len(), PART))),
            5 => {
                let copy = input[self.random.part(input.len(), PART)].to_vec();
                insert(input, at, &copy);
            }
            6 => {
                let new: Vec<u8> = (0..=self.random.below(8)).map(|_| self.random.byte()).collect();
                insert(input, at, &new);
            }
            _ => {
                let other = self.of_another(PART);
                if self.random.below(2) == 0 {
                    insert(input, at, &other);
                } else {
                    let end = (at + other.len()).min(input.len());
                    input.splice(at.min(end)..end, other);
                }
            }
        }
    }

    fn change_text(&mut self, input: &mut Vec<u8>) {
        let lines = bounds(input, |byte| byte == b'\n');
        match self.random.below(8) {
            0 => self.remove_line(input, &lines),
            1 => {
                let line = self.random.one(&lines).map(|line| input[line.clone()].to_vec()).unwrap_or_default();
                self.insert_lines(input, &lines, &line);
            }
            2 => {
                let other = self.random.one(self.pool).cloned().unwrap_or_default();
                let bounds = bounds(&other, |byte| byte == b'\n');
                let part = self.random.part(bounds.len(), 8);
                let taken: Vec<u8> = bounds[part].iter().flat_map(|line| other[line.clone()].to_vec()).collect();
                self.insert_lines(input, &lines, &taken);
            }
            3 => {
                if let Some(line) = self.random.one(&lines).cloned() {
                    match self.random.below(2) {
                        0 => insert(input, line.start, b"  "),
                        _ if input[line.clone()].starts_with(b"  ") => drop(input.drain(line.start..line.start + 2)),
                        _ => {}
                    }
                }
            }
            4 => {
                let at = self.random.below(input.len() + 1);
                let word = self.word();
                insert(input, at, &word);
            }
            _ => {
                let tokens: Vec<_> = tokens(input);
                if let Some(token) = self.random.one(&tokens).cloned() {
                    let word = if self.random.below(3) == 0 { self.token_of_another() } else { self.word() };
                    input.splice(token, word);
                }
            }
        }
    }

    fn remove_line(&mut self, input: &mut Vec<u8>, lines: &[std::ops::Range<usize>]) {
        if let Some(line) = self.random.one(lines) {
            input.drain(line.clone());
        }
    }

    fn insert_lines(&mut self, input: &mut Vec<u8>, lines: &[std::ops::Range<usize>], new: &[u8]) {
        let at = self.random.one(lines).map_or(0, |line| line.start);
        insert(input, at, new);
    }

    fn word(&mut self) -> Vec<u8> {
        self.random.one(self.words).map(|word| word.as_bytes().to_vec()).unwrap_or_default()
    }

    fn token_of_another(&mut self) -> Vec<u8> {
        let other = self.random.one(self.pool).cloned().unwrap_or_default();
        self.random.one(&tokens(&other)).map(|token| other[token.clone()].to_vec()).unwrap_or_default()
    }

    fn of_another(&mut self, longest: usize) -> Vec<u8> {
        let Some(other) = self.random.one(self.pool) else { return Vec::new() };
        other[self.random.part(other.len(), longest)].to_vec()
    }
}

fn insert(input: &mut Vec<u8>, at: usize, new: &[u8]) {
    let at = at.min(input.len());
    input.splice(at..at, new.iter().copied());
}

/// Pieces that each end with what `is_end` names, the last perhaps without.
fn bounds(input: &[u8], is_end: impl Fn(u8) -> bool) -> Vec<std::ops::Range<usize>> {
    let mut start = 0;
    input
        .split_inclusive(|byte| is_end(*byte))
        .map(|piece| {
            let bounds = start..start + piece.len();
            start = bounds.end;
            bounds
        })
        .collect()
}

/// Words as most languages have them, with what numbers, addresses and names hold.
fn tokens(input: &[u8]) -> Vec<std::ops::Range<usize>> {
    let within = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte) || !byte.is_ascii();
    let mut tokens = Vec::new();
    let mut start = None;
    for (at, byte) in input.iter().copied().chain([b' ']).enumerate() {
        match (start, within(byte)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                // A colon at the end is the language's, not the word's.
                let end = if input[at - 1] == b':' && at - from > 1 { at - 1 } else { at };
                tokens.push(from..end);
                start = None;
            }
            _ => {}
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_numbers_and_addresses() {
        let text = "kind: Pod\n- ip: 10.0.0.1/24, [fd00::1]";
        let found: Vec<_> = tokens(text.as_bytes()).into_iter().map(|token| &text[token]).collect();
        assert_eq!(found, ["kind", "Pod", "-", "ip", "10.0.0.1/24", "fd00::1"]);
    }

    #[test]
    fn lines_are_the_whole_text() {
        let text = b"a\nbc\n\nd";
        let joined: Vec<u8> =
            bounds(text, |byte| byte == b'\n').into_iter().flat_map(|line| text[line].to_vec()).collect();
        assert_eq!(joined, text);
    }

    #[test]
    fn inputs_differ_and_keep_to_their_length() {
        let (pool, mut random) = (vec![b"kind: Pod\nname: a\n".to_vec(), b"{}".to_vec()], Random::new(3));
        let mut mutator = Mutator { random: &mut random, pool: &pool, words: &["x"] };
        let inputs: std::collections::BTreeSet<_> = (0..1_000).map(|_| mutator.input(20)).collect();
        assert!(inputs.len() > 500 && inputs.iter().all(|input| input.len() <= 20), "{}", inputs.len());
    }
}
