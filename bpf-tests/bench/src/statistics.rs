//! Medians, and how sure they are.

/// A median and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Estimate {
    /// From one value a round. The interval needs no assumption on how values are distributed: it ends at those values
    /// beyond which the median lies with a chance of at most 2.5 % on either side. Fewer than six rounds have no such
    /// values; the interval is their whole range then, and surer than it should be.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (count, beyond) = (sorted.len(), beyond(sorted.len()));
        let middle = [sorted[(count - 1) / 2], sorted[count / 2]];
        Self { median: f64::midpoint(middle[0], middle[1]), low: sorted[beyond], high: sorted[count - 1 - beyond] }
    }

    /// Both ends.
    pub const fn interval(self) -> [f64; 2] {
        [self.low, self.high]
    }
}

/// Each round's value divided by the baseline's of the same round.
pub fn ratios(values: &[f64], baseline: &[f64]) -> Estimate {
    Estimate::of(values.iter().zip(baseline).map(|(value, baseline)| value / baseline))
}

/// How many of `count` values may lie below the median's interval: the largest number of heads in `count` throws, less
/// one, that is that low with a chance of at most 2.5 %.
fn beyond(count: usize) -> usize {
    let (mut chance, mut sum) = (0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX)), 0.0);
    for heads in 0..count {
        sum += chance;
        if sum > 0.025 {
            return heads.saturating_sub(1);
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of rounds")]
        let next = (count - heads) as f64 / (heads + 1) as f64;
        chance *= next;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_end_where_the_binomial_table_says() {
        // Ranks from the usual table of confidence intervals for a median, less one.
        for (count, rank) in [(5, 0), (6, 0), (8, 0), (9, 1), (12, 2), (20, 5), (24, 6), (30, 9)] {
            assert_eq!(beyond(count), rank, "{count} values");
        }
    }

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(Estimate::of([3.0, 1.0, 2.0]), Estimate { median: 2.0, low: 1.0, high: 3.0 });
        assert!((Estimate::of([1.0, 2.0, 3.0, 10.0]).median - 2.5).abs() < 1e-9);
        assert!((ratios(&[2.0, 9.0], &[1.0, 3.0]).median - 2.5).abs() < 1e-9);
    }
}
