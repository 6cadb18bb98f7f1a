//! The two figures that a set of measurements is told by.

/// The middle one of `values`; of an even number the upper of the two. Nothing for none.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value that the share `at` of `values`, from 0 to 1, lies below. Nothing for none.
pub fn quantile(values: &[f64], at: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an index: whole, not negative, far below 2^52"
    )]
    let index = (sorted.len() as f64 * at) as usize;
    sorted.get(index.min(sorted.len().checked_sub(1)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_rank() {
        let values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        assert_eq!(median(&values), Some(501.0));
        assert_eq!(quantile(&values, 0.99), Some(991.0));
        assert_eq!(quantile(&values, 1.0), Some(1000.0));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
