//! Durations in buckets that grow by a tenth: a percentile from them is within 5 % of what it is.

use crate::store::reports::Percentiles;

/// A bucket's upper bound, of its lower one.
const GROWTH: f64 = 1.1;

/// Returns the bucket of a duration in microseconds. What took no microsecond is in the first, number 0;
/// bucket `b` holds what took at least 1.1^(b-1) and less than 1.1^b.
pub(crate) fn bucket(duration_us: i64) -> u16 {
    if duration_us < 1 {
        return 0;
    }
    // 264 at a day, so it fits.
    1 + ((duration_us as f64).ln() / GROWTH.ln()) as u16
}

/// Returns percentiles of answers by bucket, in ascending order of buckets.
pub(crate) fn percentiles(answers: &[(u16, i64)]) -> Percentiles {
    let all: i64 = answers.iter().map(|(_, count)| count).sum();
    let of = |share: f64| {
        // The smallest duration that as many do not exceed.
        let rank = (share * all as f64).ceil() as i64;
        let mut passed = 0;
        let found = answers.iter().find(|(_, count)| {
            passed += count;
            passed >= rank
        });
        found.map_or(0, |(bucket, _)| middle(*bucket))
    };
    Percentiles { p50_us: of(0.5), p95_us: of(0.95), p99_us: of(0.99) }
}

/// Returns the duration that is as far, by ratio, from one bound of a bucket as from the other.
fn middle(bucket: u16) -> i64 {
    if bucket == 0 { 0 } else { GROWTH.powf(f64::from(bucket) - 0.5).round() as i64 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_percentile_is_within_a_twentieth() {
        let durations: Vec<i64> = (0..20_000_i64).map(|i| 40 + i * i / 7).collect();
        let mut answers = BTreeMap::<u16, i64>::new();
        for duration in &durations {
            *answers.entry(bucket(*duration)).or_default() += 1;
        }
        let answers: Vec<_> = answers.into_iter().collect();
        let found = percentiles(&answers);
        for (share, found) in [(0.5, found.p50_us), (0.95, found.p95_us), (0.99, found.p99_us)] {
            let exact = durations[(share * durations.len() as f64).ceil() as usize - 1] as f64;
            assert!((found as f64 / exact - 1.0).abs() < 0.05, "{share}: {found} for {exact}");
        }
    }

    #[test]
    fn the_ends_have_buckets() {
        assert_eq!((bucket(i64::MIN), bucket(0), bucket(1)), (0, 0, 1));
        assert!(bucket(86_400_000_000) < 270);
        assert_eq!(percentiles(&[]), Percentiles::default());
        let one = Percentiles { p50_us: 0, p95_us: 0, p99_us: 0 };
        assert_eq!(percentiles(&[(0, 3)]), one);
    }
}
