//! Which rows of a block a column has.

use super::{Column, SERIES_MAX};
use crate::history::bytes::{Corrupt, Reader, put};

/// A bit per row; lengths of absent and present stretches in turn; as another column of the segment.
const ROWS_BITS: u8 = 1;
const ROWS_RUNS: u8 = 2;
const ROWS_AS: u8 = 3;

pub(super) fn encode_rows(column: &Column, count: usize, twin: Option<usize>) -> Vec<u8> {
    let Some(rows) = &column.rows else {
        return Vec::new();
    };
    if let Some(place) = twin {
        let mut bytes = vec![ROWS_AS];
        put(&mut bytes, place as u64);
        return bytes;
    }
    let mut runs = vec![ROWS_RUNS];
    let mut end = 0;
    for run in rows.chunk_by(|one, other| one + 1 == *other) {
        put(&mut runs, u64::from(run[0] - end));
        put(&mut runs, run.len() as u64);
        end = run[run.len() - 1] + 1;
    }
    if runs.len() <= count.div_ceil(8) {
        return runs;
    }
    let mut bits = vec![0; 1 + count.div_ceil(8)];
    bits[0] = ROWS_BITS;
    for row in rows {
        bits[1 + *row as usize / 8] |= 1 << (row % 8);
    }
    bits
}

/// Reads which rows a column has into `rows`; `false` for all. `twin` gives what another column of the segment has written.
pub(super) fn decode_rows<'a>(
    bytes: &'a [u8],
    twin: &dyn Fn(usize) -> Option<&'a [u8]>,
    count: usize,
    rows: &mut Vec<u32>,
) -> Result<bool, Corrupt> {
    rows.clear();
    let mut reader = Reader(bytes);
    if reader.is_empty() {
        return Ok(false);
    }
    match reader.byte()? {
        ROWS_AS => {
            let twin = twin(reader.count(SERIES_MAX)?).ok_or(Corrupt("the rows of a column"))?;
            return match twin.first() {
                Some(&ROWS_AS) | None => Err(Corrupt("the rows of a column")),
                Some(_) => decode_rows(twin, &|_| None, count, rows),
            };
        }
        ROWS_BITS => {
            let bits = reader.0;
            let is_set = |row: &u32| {
                bits.get(*row as usize / 8)
                    .is_some_and(|byte| byte & (1 << (row % 8)) != 0)
            };
            let all = u32::try_from(count).map_err(|_| Corrupt("the rows of a column"))?;
            rows.extend((0..all).filter(is_set));
        }
        ROWS_RUNS => {
            let mut end = 0;
            while !reader.is_empty() {
                let start = end + reader.count(count - end)?;
                let length = reader.count(count - start)?;
                end = start + length;
                let range = u32::try_from(start).ok().zip(u32::try_from(end).ok());
                let (start, end) = range.ok_or(Corrupt("the rows of a column"))?;
                rows.extend(start..end);
            }
        }
        _ => return Err(Corrupt("the rows of a column")),
    }
    Ok(true)
}
