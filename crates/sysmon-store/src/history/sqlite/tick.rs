//! The values of one moment as a row of `recent` has them.

use crate::history::bytes::{Corrupt, Reader, put, put_signed};

/// Writes values by series, ascending.
pub(crate) fn encode(values: &[(u32, i64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * 4);
    let mut before = 0;
    for (series, value) in values {
        put(&mut bytes, u64::from(series.wrapping_sub(before)));
        put_signed(&mut bytes, *value);
        before = *series;
    }
    bytes
}

/// Reads what was written, and gives each value to `take`.
///
/// # Errors
/// [`Corrupt`] for anything that [`encode`] does not make; what comes before the damage has been given.
pub(crate) fn decode(bytes: &[u8], mut take: impl FnMut(u32, i64)) -> Result<(), Corrupt> {
    let mut reader = Reader(bytes);
    let mut series = 0u32;
    while !reader.is_empty() {
        let step = u32::try_from(reader.number()?).map_err(|_| Corrupt("a series"))?;
        series = series.checked_add(step).ok_or(Corrupt("a series"))?;
        take(series, reader.signed()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tick_comes_back_as_it_was(values in prop::collection::btree_map(any::<u32>(), any::<i64>(), 0..200)) {
            let values: Vec<(u32, i64)> = values.into_iter().collect();
            let mut back = Vec::new();
            decode(&encode(&values), |series, value| back.push((series, value))).unwrap();
            prop_assert_eq!(back, values);
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut count = 0;
            let _ = decode(&bytes, |_, _| count += 1);
            prop_assert!(count <= 100);
        }
    }
}
