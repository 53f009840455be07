//! The middle of some figures, and how sure it is.

/// The middle one; of an even number the mean of both. 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => (below + above) / 2.0,
        (_, Some(middle)) => *middle,
        _ => 0.0,
    }
}

/// The value below which this share of them lies (nearest rank). 0 of none.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The geometric mean of ratios, and its standard error. 0 of none.
pub fn geometric_mean(ratios: &[f64]) -> (f64, f64) {
    if ratios.is_empty() {
        return (0.0, 0.0);
    }
    let count = ratios.len() as f64;
    let logarithms = || ratios.iter().map(|ratio| ratio.ln());
    let mean = logarithms().sum::<f64>() / count;
    let squares: f64 = logarithms().map(|one| (one - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0).max(1.0)).sqrt();
    (mean.exp(), mean.exp() * deviation / count.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_rank() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut hundred, 0.99), 99.0);
        assert_eq!(percentile(&mut hundred, 0.5), 50.0);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }

    #[test]
    fn half_and_double_make_one() {
        let (mean, error) = geometric_mean(&[0.5, 2.0]);
        assert!((mean - 1.0).abs() < 1e-9);
        assert!((error - 2_f64.ln()).abs() < 1e-9);
        assert_eq!(geometric_mean(&[1.0]), (1.0, 0.0));
        assert_eq!(geometric_mean(&[]), (0.0, 0.0));
    }
}
