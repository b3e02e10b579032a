//! An answer for spreadsheets: one line per series and moment (RFC 4180, with plain line ends). What has no sample has
//! no line.

use std::fmt::Write;

use sysmon_core::MachineHistory;

use super::utc;

pub(super) fn heading() -> String {
    "machine_id,at,metric,labels,unit,min,mean,max,samples\n".into()
}

pub(super) fn machine(machine: &MachineHistory) -> String {
    let mut text = String::new();
    for series in &machine.series {
        let labels = series.key.labels.iter();
        let labels: Vec<_> = labels
            .map(|label| format!("{}={}", label.name, label.value))
            .collect();
        let metric = &series.key.metric;
        let (name, labels) = (field(metric.name()), field(&labels.join(" ")));
        for (at, point) in machine.times.iter().zip(&series.points) {
            let Some(point) = point else { continue };
            let _ = writeln!(
                text,
                "{},{},{name},{labels},{},{},{},{},{}",
                machine.machine,
                utc(*at),
                metric.unit().word(),
                point.minimum,
                point.mean,
                point.maximum,
                point.count
            );
        }
    }
    text
}

/// Quoted where it would be read as more than one field, or, by a spreadsheet, as a formula.
fn field(text: &str) -> String {
    let text = sysmon_core::sanitize(text);
    let text = if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text.into_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_line_per_sample_and_none_for_what_is_missing() {
        let text = heading() + &machine(&super::super::table::tests::example());
        assert_eq!(
            text,
            "machine_id,at,metric,labels,unit,min,mean,max,samples\n\
             web-1,1970-01-01T00:01:00.000Z,cpu.busy_percent,,percent,1,10,40.5,10\n\
             web-1,1970-01-01T00:04:00.000Z,cpu.busy_percent,,percent,2,40,50,30\n\
             web-1,1970-01-01T00:04:00.000Z,mount.used_percent,\"mount=/da,ta\",percent,70,70,70,1\n"
        );
    }

    #[test]
    fn remote_text_is_no_formula_and_no_second_field() {
        assert_eq!(field("=cmd()"), "'=cmd()");
        assert_eq!(field("a\"b"), "\"a\"\"b\"");
    }
}
