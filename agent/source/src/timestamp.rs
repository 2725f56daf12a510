//! Kubernetes timestamps: RFC 3339 (<https://www.rfc-editor.org/rfc/rfc3339#section-5.6>).

/// Seconds since 1970 of a time like `2026-11-22T17:00:00Z` or `2026-11-22T18:00:00.5+01:00`; fractions are cut off,
/// and times before 1970 are 0. None where it is not one.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let clock = match clock.split_once('.') {
        Some((clock, fraction)) if !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()) => clock,
        Some(_) => return None,
        None => clock,
    };
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
            let offset = hours * 3600 + minutes * 60;
            if zone.starts_with('-') { -offset } else { offset }
        }
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    valid.then(|| u64::try_from(seconds).unwrap_or(0))
}

/// Exactly `N` numbers of given widths.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days from 1970-01-01 in the Gregorian calendar, years counted from March so that the leap day comes last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(seconds(text), expected, "{text}");
    }

    #[test]
    fn times_are_seconds_since_1970() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("2000-02-29T12:00:00Z", Some(951_825_600));
        check("2026-11-22T17:00:00Z", Some(1_795_366_800));
        check("2026-11-22T18:30:00.123456+01:30", Some(1_795_366_800));
        check("2026-11-22T12:00:00-05:00", Some(1_795_366_800));
        check("1969-01-01T00:00:00Z", Some(0));
    }

    #[test]
    fn what_is_not_a_time_has_none() {
        for text in [
            "",
            "yesterday",
            "2026-11-22",
            "2026-13-01T00:00:00Z",
            "2026-11-22T17:00:00",
            "2026-1-2T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T17:00:00.Z",
            "2026-11-22T17:00:00+01",
        ] {
            check(text, None);
        }
    }
}
