//! Colours as they are written, and the nearest ones that a terminal has.

use ratatui::style::Color;

use super::ColourDepth;

/// A colour as a theme writes it.
pub(super) fn parse(text: &str) -> Option<Color> {
    if text == "terminal" {
        Some(Color::Reset)
    } else {
        text.parse().ok()
    }
}

/// The nearest colour that the terminal has.
pub(super) fn reduce(colour: Color, depth: ColourDepth, has_hue: bool) -> Color {
    let Color::Rgb(red, green, blue) = colour else {
        return if depth == ColourDepth::None {
            Color::Reset
        } else {
            colour
        };
    };
    match depth {
        ColourDepth::None => Color::Reset,
        ColourDepth::Sixteen => nearest_of_sixteen(red, green, blue, has_hue),
        ColourDepth::Indexed => nearest_indexed(red, green, blue),
        ColourDepth::True => colour,
    }
}

pub(super) fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let square = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    square(a.0, b.0) + square(a.1, b.1) + square(a.2, b.2)
}

fn nearest_indexed(red: u8, green: u8, blue: u8) -> Color {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let nearest = |value: u8| {
        (0u8..6)
            .min_by_key(|index| STEPS[usize::from(*index)].abs_diff(value))
            .unwrap_or(0)
    };
    let (r, g, b) = (nearest(red), nearest(green), nearest(blue));
    let cube = (
        STEPS[usize::from(r)],
        STEPS[usize::from(g)],
        STEPS[usize::from(b)],
    );
    let average = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let step = u8::try_from(average.saturating_sub(3) / 10).unwrap_or(23).min(23);
    let grey = 8 + step * 10;
    let wanted = (red, green, blue);
    if distance(wanted, (grey, grey, grey)) < distance(wanted, cube) {
        Color::Indexed(232 + step)
    } else {
        Color::Indexed(16 + 36 * r + 6 * g + b)
    }
}

fn nearest_of_sixteen(red: u8, green: u8, blue: u8, has_hue: bool) -> Color {
    let (high, low) = (red.max(green).max(blue), red.min(green).min(blue));
    if !has_hue || high - low < 24 {
        return match high {
            0..64 => Color::Black,
            64..160 => Color::DarkGray,
            160..220 => Color::Gray,
            _ => Color::Reset,
        };
    }
    // The hue decides: a muted green must not become grey, for green means something.
    let strong = |value: u8| u16::from(value - low) * 2 >= u16::from(high - low);
    match (strong(red), strong(green), strong(blue)) {
        (true, true, _) => Color::Yellow,
        (true, _, true) => Color::Magenta,
        (_, true, true) => Color::Cyan,
        (true, _, _) => Color::Red,
        (_, true, _) => Color::Green,
        _ => Color::Blue,
    }
}
