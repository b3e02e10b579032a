//! One column of integers in as few bytes as can be found.

use pco::ChunkConfig;
use pco::wrapped::{FileCompressor, FileDecompressor};

use super::bytes::{Corrupt, Reader, put, put_signed};

/// How hard to look for a short form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For what is rewritten soon: a nanosecond or two per number.
    Fast,
    /// For what stays: tens of nanoseconds per number.
    Small,
}

/// All values are the same one.
const CONSTANT: u8 = 0;
/// The differences, each as a number of variable length.
const DIFFERENCES: u8 = 1;
/// How often each value repeats, and the difference to the next: for what seldom changes.
const RUNS: u8 = 2;
/// As the `pco` crate does it: bins of common values with entropy coding.
const BINNED: u8 = 3;

/// Below this many values the bins of [`BINNED`] cost more than they save.
const BINNED_MIN: usize = 24;

/// Writes values; how many there are is written elsewhere.
pub(crate) fn encode(values: &[i64], effort: Effort) -> Vec<u8> {
    let Some(first) = values.first() else {
        return Vec::new();
    };
    let changes = values.windows(2).filter(|pair| pair[0] != pair[1]).count();
    if changes == 0 {
        let mut bytes = vec![CONSTANT];
        put_signed(&mut bytes, *first);
        return bytes;
    }
    let mut best = differences(values);
    if changes < values.len() / 4 {
        best = shorter(best, runs(values));
    }
    // Even the shortest code of bins cannot beat a few runs.
    if effort == Effort::Small && values.len() >= BINNED_MIN && best.len() > 24 {
        best = binned(values).map_or_else(|| best.clone(), |binned| shorter(binned, best.clone()));
    }
    best
}

fn shorter(one: Vec<u8>, other: Vec<u8>) -> Vec<u8> {
    if one.len() <= other.len() { one } else { other }
}

fn differences(values: &[i64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() + 16);
    bytes.push(DIFFERENCES);
    let mut before = 0;
    for value in values {
        put_signed(&mut bytes, value.wrapping_sub(before));
        before = *value;
    }
    bytes
}

fn runs(values: &[i64]) -> Vec<u8> {
    let mut bytes = vec![RUNS];
    let mut before = 0;
    for run in values.chunk_by(|one, other| one == other) {
        put(&mut bytes, run.len() as u64);
        put_signed(&mut bytes, run[0].wrapping_sub(before));
        before = run[0];
    }
    bytes
}

fn binned(values: &[i64]) -> Option<Vec<u8>> {
    let config = ChunkConfig::default().with_paging_spec(pco::PagingSpec::Exact(vec![values.len()]));
    let compressor = FileCompressor::default();
    let bytes = compressor.write_header(vec![BINNED]).ok()?;
    let mut chunk = compressor.chunk_compressor(values, &config).ok()?;
    let bytes = chunk.write_meta(bytes).ok()?;
    chunk.write_page(0, bytes).ok()
}

/// Reads so many values.
///
/// # Errors
/// [`Corrupt`] for bytes that [`encode`] does not make of so many values. Never takes more memory than for `count` values.
pub(crate) fn decode(bytes: &[u8], count: usize) -> Result<Vec<i64>, Corrupt> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut reader = Reader(bytes);
    match reader.byte()? {
        CONSTANT => Ok(vec![reader.signed()?; count]),
        DIFFERENCES => {
            // A number takes a byte at least, so a hostile count takes no memory.
            let mut values = Vec::with_capacity(count.min(bytes.len()));
            let mut value = 0i64;
            for _ in 0..count {
                value = value.wrapping_add(reader.signed()?);
                values.push(value);
            }
            Ok(values)
        }
        RUNS => {
            let mut values = Vec::with_capacity(count);
            let mut value = 0i64;
            while values.len() < count {
                let length = reader.count(count - values.len())?;
                value = value.wrapping_add(reader.signed()?);
                values.resize(values.len() + length, value);
            }
            Ok(values)
        }
        BINNED => read_binned(reader.0, count).ok_or(Corrupt("a column")),
        _ => Err(Corrupt("the kind of a column")),
    }
}

fn read_binned(bytes: &[u8], count: usize) -> Option<Vec<i64>> {
    let (decompressor, rest) = FileDecompressor::new(bytes).ok()?;
    let (mut chunk, rest) = decompressor.chunk_decompressor::<i64, _>(rest).ok()?;
    let mut values = vec![0; count];
    let progress = chunk
        .page_decompressor(rest, count)
        .ok()?
        .read(&mut values)
        .ok()?;
    (progress.n_processed == count).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shapes() -> impl Strategy<Value = Vec<i64>> {
        prop_oneof![
            prop::collection::vec(any::<i64>(), 0..400),
            prop::collection::vec(0i64..4, 0..400),
            (any::<i64>(), 0usize..400).prop_map(|(value, count)| vec![value; count]),
            prop::collection::vec((0i64..3, 1usize..90), 0..20).prop_map(|runs| runs
                .into_iter()
                .flat_map(|(value, count)| vec![value; count])
                .collect()),
        ]
    }

    proptest! {
        #[test]
        fn every_column_comes_back_as_it_was(values in shapes()) {
            for effort in [Effort::Fast, Effort::Small] {
                prop_assert_eq!(&decode(&encode(&values, effort), values.len()).unwrap(), &values);
            }
        }

        #[test]
        fn damaged_columns_are_errors_or_other_numbers_but_never_panics(
            values in shapes(), at in any::<prop::sample::Index>(), flip in 1u8.., count in 0usize..500,
        ) {
            let mut bytes = encode(&values, Effort::Small);
            if !bytes.is_empty() {
                let index = at.index(bytes.len());
                bytes[index] ^= flip;
            }
            if let Ok(decoded) = decode(&bytes, count) {
                prop_assert_eq!(decoded.len(), count);
            }
        }

        #[test]
        fn noise_is_an_error_or_numbers_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..5) {
            let mut column = vec![kind];
            column.extend(bytes);
            if let Ok(decoded) = decode(&column, 300) {
                prop_assert_eq!(decoded.len(), 300);
            }
        }
    }

    #[test]
    fn what_does_not_change_costs_next_to_nothing() {
        assert!(encode(&[24_684_100 * 1_024; 21_600], Effort::Small).len() <= 8);
    }

    #[test]
    fn a_run_without_an_end_takes_no_memory() {
        let mut bytes = vec![RUNS];
        put(&mut bytes, u64::MAX);
        put_signed(&mut bytes, 1);
        assert!(decode(&bytes, 100).is_err());
        // Runs of nothing do not go on for ever either.
        assert!(decode(&[RUNS, 0, 0, 0, 0], 100).is_err());
    }
}
