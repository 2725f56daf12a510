//! Makes an input that fails smaller while it fails.

/// How often it may be tried.
const TRIES: usize = 4_000;

/// The smallest input found that `fails` still; parts are left out, larger ones first.
pub fn shrink(input: &[u8], fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut smallest = input.to_vec();
    let (mut size, mut tries) = (smallest.len().div_ceil(2), 0);
    while size > 0 {
        let (mut start, mut smaller) = (0, false);
        while start < smallest.len() && tries < TRIES {
            let end = (start + size).min(smallest.len());
            let without = [&smallest[..start], &smallest[end..]].concat();
            tries += 1;
            if fails(&without) {
                (smallest, smaller) = (without, true);
            } else {
                start = end;
            }
        }
        if !smaller || tries >= TRIES {
            size /= 2;
        }
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_it_fail_is_left() {
        let fails = |input: &[u8]| input.contains(&b'x') && input.ends_with(b"end");
        assert_eq!(shrink(b"a long text with an x before the end", fails), b"xend");
    }
}
