use super::*;
use proptest::prelude::*;

fn plan(metric: &str, function: Function, window_ms: u64) -> Plan {
    Plan::new(&Quantity {
        metric: metric.into(),
        per: None,
        function,
        window_ms,
    })
}

/// The readings of samples at a steady pace.
fn readings(plan: &Plan, step_ms: i64, values: impl IntoIterator<Item = f64>) -> Vec<Option<Reading>> {
    let mut window = Window::default();
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            let covered_ms = if index == 0 { 0 } else { step_ms.unsigned_abs() };
            let at_ms = i64::try_from(index).unwrap() * step_ms;
            window.push(plan, at_ms, value, covered_ms)
        })
        .collect()
}

#[test]
fn a_window_is_full_when_half_of_it_is_covered() {
    let plan = plan("cpu.busy_percent", Function::Average, 60_000);
    let all = readings(&plan, 5_000, (0..20).map(f64::from));
    assert!(!all[5].unwrap().is_full && all[6].unwrap().is_full);
    assert_eq!(all[6].unwrap().value, 3.0);
    // Slices of 2 s: at 95 s those of 36 s and later are there, so the samples from 40 s on.
    assert_eq!(all[19].unwrap().value, (8..20).sum::<i32>() as f64 / 12.0);
}

#[test]
fn a_total_that_begins_anew_counts_from_zero() {
    let plan = plan("memory.oom_kills_total", Function::Increase, 60_000);
    let all = readings(
        &plan,
        10_000,
        [7.0, 7.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    );
    let values: Vec<f64> = all.iter().map(|reading| reading.unwrap().value).collect();
    assert_eq!(values, [0.0, 0.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_steady_slope_tells_when_it_ends() {
    // 100 bytes less each second, 10,000 left at the last sample.
    let free = plan("mount.available_bytes", Function::TimeToFull, 600_000);
    let last = readings(
        &free,
        10_000,
        (0..60).map(|index| 69_000.0 - 1_000.0 * f64::from(index)),
    );
    let seconds = last.last().unwrap().unwrap().value;
    assert!((seconds - 100.0).abs() < 1e-6, "{seconds}");
    let rate = plan("mount.available_bytes", Function::Rate, 600_000);
    let last = readings(
        &rate,
        10_000,
        (0..60).map(|index| 69_000.0 - 1_000.0 * f64::from(index)),
    );
    assert!((last.last().unwrap().unwrap().value + 100.0).abs() < 1e-9);
    // 40 % more to go at a tenth of a point a second.
    let share = plan("mount.used_percent", Function::TimeToFull, 60_000);
    let last = readings(
        &share,
        1_000,
        (0..101).map(|index| 50.0 + f64::from(index) / 10.0),
    );
    assert!((last.last().unwrap().unwrap().value - 400.0).abs() < 1e-6);
}

#[test]
fn what_gets_no_nearer_never_ends_and_what_is_full_has_no_time_left() {
    let free = plan("mount.available_bytes", Function::TimeToFull, 60_000);
    for (values, expected) in [
        (vec![5e9; 30], f64::INFINITY),
        (
            (0..30).map(|index| 5e9 + f64::from(index)).collect(),
            f64::INFINITY,
        ),
        (vec![0.0; 30], 0.0),
    ] {
        assert_eq!(
            readings(&free, 2_000, values).last().unwrap().unwrap().value,
            expected
        );
    }
    let one = readings(&free, 2_000, [1.0]);
    assert_eq!(one, [None], "no line through one point");
}

#[test]
fn a_day_costs_no_more_slices_than_a_minute() {
    for window_ms in [1, 7, 29, 60_000, 86_400_000] {
        let plan = plan("cpu.busy_percent", Function::Average, window_ms);
        let mut window = Window::default();
        for index in 0..5_000i64 {
            window.push(&plan, index * 60_000, 1.0, 60_000);
        }
        assert!((window.older.len() as u64) < SLICES_MAX, "{window_ms}");
        assert!(window.older.capacity() as u64 <= SLICES_MAX + 8, "{window_ms}");
    }
}

proptest! {
    #[test]
    fn every_function_gives_what_the_samples_in_the_window_give(
        steps in prop::collection::vec((1i64..20_000, -1e3..1e3f64), 1..120), window_ms in 1u64..200_000,
    ) {
        for (function, _) in Function::WORDS {
            let plan = plan("load.1m", function, window_ms);
            let (mut window, mut at, mut samples) = (Window::default(), -50_000, Vec::new());
            for (step, value) in &steps {
                at += step;
                samples.push((at, *value));
                let reading = window.push(&plan, at, *value, 1);
                let oldest = (at.div_euclid(plan.slice_ms) - plan.slices + 1) * plan.slice_ms;
                let inside: Vec<f64> = samples.iter().filter(|(at, _)| *at >= oldest).map(|(_, value)| *value).collect();
                let expected = match function {
                    Function::Average => inside.iter().sum::<f64>() / inside.len() as f64,
                    Function::Minimum => inside.iter().copied().fold(f64::MAX, f64::min),
                    Function::Maximum => inside.iter().copied().fold(f64::MIN, f64::max),
                    _ => continue,
                };
                let found = reading.unwrap().value;
                prop_assert!((found - expected).abs() < 1e-6, "{function:?} {found} {expected}");
            }
        }
    }

    #[test]
    fn nothing_that_comes_in_makes_a_reading_that_is_no_number(
        steps in prop::collection::vec((1i64..i64::MAX / 200, -1e100..1e100f64), 1..60), window_ms in 1u64..86_400_000,
    ) {
        for (function, _) in Function::WORDS {
            let plan = plan("load.1m", function, window_ms);
            let (mut window, mut at) = (Window::default(), i64::MIN / 2);
            for (step, value) in &steps {
                at += step;
                if let Some(reading) = window.push(&plan, at, *value, u64::MAX) {
                    prop_assert!(!reading.value.is_nan());
                }
            }
            let text = serde_json::to_string(&window).unwrap();
            prop_assert_eq!(serde_json::from_str::<Window>(&text).unwrap(), window);
        }
    }
}
