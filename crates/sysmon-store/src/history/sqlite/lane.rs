//! One column of integers in as few bytes as can be found.

use std::ops::Range;

use pco::wrapped::{ChunkDecompressor, FileCompressor, FileDecompressor};
use pco::{ChunkConfig, FULL_BATCH_N, PagingSpec};

use crate::history::bytes::{Corrupt, Reader, put, put_part, put_signed};

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
/// The same in pages of [`PAGE`] values with common bins: one page is read without those before it.
const PAGED: u8 = 4;

/// Values of a page: of a machine that reports every second a little more than an hour. Shorter ones cost more bytes than
/// they save time.
const PAGE: usize = 4_096;

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
    let pages: Vec<usize> = values.chunks(PAGE).map(<[i64]>::len).collect();
    let config = ChunkConfig::default().with_paging_spec(PagingSpec::Exact(pages.clone()));
    let compressor = FileCompressor::default();
    let mut chunk = compressor.chunk_compressor(values, &config).ok()?;
    if pages.len() == 1 {
        let bytes = compressor.write_header(vec![BINNED]).ok()?;
        let bytes = chunk.write_meta(bytes).ok()?;
        return chunk.write_page(0, bytes).ok();
    }
    let bins = chunk.write_meta(compressor.write_header(Vec::new()).ok()?).ok()?;
    let mut bytes = vec![PAGED];
    put_part(&mut bytes, &bins);
    for page in 0..pages.len() {
        put_part(&mut bytes, &chunk.write_page(page, Vec::new()).ok()?);
    }
    Some(bytes)
}

/// Reads so many values.
///
/// # Errors
/// [`Corrupt`] for bytes that [`encode`] does not make of so many values. Never takes more memory than for `count` values.
pub(crate) fn decode(bytes: &[u8], count: usize) -> Result<Vec<i64>, Corrupt> {
    let mut values = Vec::new();
    decode_range(bytes, count, 0..count, &mut values)?;
    Ok(values)
}

/// Reads the values with these indexes, of `count` that there are, in place of what `values` had. What comes after them
/// is not looked at, so that damage there does not show.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_range(
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    values: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    values.clear();
    let range = range.start.min(count)..range.end.min(count);
    if range.is_empty() {
        return Ok(());
    }
    let mut reader = Reader(bytes);
    match reader.byte()? {
        CONSTANT => values.resize(range.len(), reader.signed()?),
        DIFFERENCES => {
            // A number takes a byte at least, so a hostile count takes no memory.
            values.reserve(range.len().min(bytes.len()));
            let mut value = 0i64;
            for _ in 0..range.start {
                value = value.wrapping_add(reader.signed()?);
            }
            for _ in range {
                value = value.wrapping_add(reader.signed()?);
                values.push(value);
            }
        }
        RUNS => {
            let (mut value, mut end) = (0i64, 0);
            while end < range.end {
                let start = end;
                end += reader.count(count - start)?;
                value = value.wrapping_add(reader.signed()?);
                let part = start.max(range.start)..end.min(range.end);
                values.resize(values.len() + part.len(), value);
            }
        }
        BINNED => read_binned(reader.0, count, range, values).ok_or(Corrupt("a column"))?,
        PAGED => read_paged(reader, count, range, values)?,
        _ => return Err(Corrupt("the kind of a column")),
    }
    Ok(())
}

fn read_binned(bytes: &[u8], count: usize, range: Range<usize>, values: &mut Vec<i64>) -> Option<()> {
    let (decompressor, rest) = FileDecompressor::new(bytes).ok()?;
    let (mut chunk, rest) = decompressor.chunk_decompressor::<i64, _>(rest).ok()?;
    read_page(&mut chunk, rest, count, range, values)
}

fn read_paged(
    mut reader: Reader,
    count: usize,
    range: Range<usize>,
    values: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    let damaged = Corrupt("a column");
    let (decompressor, bins) = FileDecompressor::new(reader.part()?).map_err(|_| damaged)?;
    let (mut chunk, _) = decompressor
        .chunk_decompressor::<i64, _>(bins)
        .map_err(|_| damaged)?;
    for start in (0..range.end).step_by(PAGE) {
        let page = reader.part()?;
        let length = PAGE.min(count - start);
        let part = range.start.saturating_sub(start)..(range.end - start).min(length);
        if !part.is_empty() {
            read_page(&mut chunk, page, length, part, values).ok_or(damaged)?;
        }
    }
    Ok(())
}

/// Appends the values with these indexes, of `count` that the page has.
fn read_page(
    chunk: &mut ChunkDecompressor<i64>,
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    values: &mut Vec<i64>,
) -> Option<()> {
    let mut page = chunk.page_decompressor(bytes, count).ok()?;
    // Values come in whole batches.
    let skipped = range.start / FULL_BATCH_N * FULL_BATCH_N;
    let end = range.end.next_multiple_of(FULL_BATCH_N).min(count);
    let mut before = [0; FULL_BATCH_N];
    for _ in 0..skipped / FULL_BATCH_N {
        page.read(&mut before).ok()?;
    }
    let first = values.len();
    values.resize(first + end - skipped, 0);
    let progress = page.read(&mut values[first..]).ok()?;
    if progress.n_processed != end - skipped {
        return None;
    }
    values.drain(first..first + range.start - skipped);
    values.truncate(first + range.len());
    Some(())
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
        fn a_part_of_a_column_is_the_same_as_cut_out_of_the_whole(
            values in shapes(), times in 1usize..40, from in any::<prop::sample::Index>(), length in 0usize..9_000,
        ) {
            // Long enough for several pages, and not the same over and over.
            let values: Vec<i64> = (0i64..)
                .zip(values.iter().cycle().take(values.len() * times))
                .map(|(index, value)| value ^ (index * 7_919 % 61))
                .collect();
            let from = from.index(values.len() + 1);
            let range = from..(from + length).min(values.len());
            for effort in [Effort::Fast, Effort::Small] {
                let bytes = encode(&values, effort);
                let mut part = vec![4; 4];
                decode_range(&bytes, values.len(), range.clone(), &mut part).unwrap();
                prop_assert_eq!(&part, &values[range.clone()]);
            }
        }

        #[test]
        fn noise_is_an_error_or_numbers_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..6) {
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
    fn long_columns_of_noise_have_pages_and_each_is_read_alone() {
        let values: Vec<i64> = (0..21_600i64).map(|row| row * row * 31 % 1_009).collect();
        let bytes = encode(&values, Effort::Small);
        assert_eq!(bytes[0], PAGED);
        // What is before and behind the pages that are needed may be anything.
        let mut reader = Reader(&bytes[1..]);
        let mut other = vec![PAGED];
        put_part(&mut other, reader.part().unwrap());
        for page in 0..5 {
            let content = reader.part().unwrap();
            put_part(&mut other, if page == 2 { content } else { b"rubbish" });
        }
        let mut part = Vec::new();
        decode_range(&other, values.len(), 2 * PAGE..3 * PAGE, &mut part).unwrap();
        assert_eq!(part, values[2 * PAGE..3 * PAGE]);
        assert!(decode_range(&other, values.len(), 0..values.len(), &mut part).is_err());
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
