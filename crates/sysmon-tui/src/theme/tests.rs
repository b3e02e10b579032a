use super::file::BUILT_IN;
use super::*;

#[test]
fn built_in_themes_are_valid_at_every_depth() {
    for (name, text) in BUILT_IN {
        for depth in [
            ColourDepth::None,
            ColourDepth::Sixteen,
            ColourDepth::Indexed,
            ColourDepth::True,
        ] {
            Theme::parse(name, text, depth).unwrap();
        }
    }
}

#[test]
fn states_stay_apart_at_every_depth() {
    for (name, text) in BUILT_IN {
        for depth in [ColourDepth::Sixteen, ColourDepth::Indexed, ColourDepth::True] {
            let theme = Theme::parse(name, text, depth).unwrap();
            let states = [
                theme.ok(),
                theme.warning(),
                theme.critical(),
                theme.stale(),
                theme.text(),
            ];
            for (index, state) in states.iter().enumerate() {
                assert!(
                    states[index + 1..].iter().all(|other| other.fg != state.fg),
                    "{name} {depth:?} {states:?}"
                );
            }
        }
    }
}

#[test]
fn without_colour_nothing_is_coloured() {
    let theme = Theme::load("", &[], ColourDepth::None).unwrap();
    for style in [
        theme.critical(),
        theme.bar(),
        theme.selected(),
        theme.stale(),
        theme.chart(),
    ] {
        assert!(
            matches!(style.fg, None | Some(Color::Reset)) && matches!(style.bg, None | Some(Color::Reset))
        );
    }
}

#[test]
fn mistakes_in_a_theme_are_named() {
    let broken = BUILT_IN[0]
        .1
        .replace("critical = \"red\"", "critical = \"rouge\"");
    let error = Theme::parse("mine", &broken, ColourDepth::True)
        .unwrap_err()
        .to_string();
    assert!(error.contains("critical") && error.contains("rouge"), "{error}");
    let error = Theme::load("../../etc/passwd", &[], ColourDepth::True)
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot read theme"), "{error}");
    let error = Theme::load("no such", &[], ColourDepth::True)
        .unwrap_err()
        .to_string();
    assert!(error.contains("dark, light"), "{error}");
}

#[test]
fn the_environment_decides_how_many_colours() {
    assert_eq!(
        ColourDepth::detect(false, "truecolor", "xterm"),
        ColourDepth::True
    );
    assert_eq!(
        ColourDepth::detect(false, "", "screen-256color"),
        ColourDepth::Indexed
    );
    assert_eq!(ColourDepth::detect(false, "", "linux"), ColourDepth::Sixteen);
    assert_eq!(ColourDepth::detect(true, "truecolor", "xterm"), ColourDepth::None);
}

/// Every role that text is written in, and what it is written on.
fn pairs(parts: &file::Parts) -> Vec<(&'static str, &str, &str)> {
    let colour = |role: &'static str| {
        let value = match role {
            "background" => &parts.roles.background,
            "bar" => &parts.roles.bar_background,
            "text" => &parts.roles.text,
            "quiet" => &parts.roles.quiet,
            "faint" => &parts.roles.faint,
            "title" => &parts.roles.title,
            "accent" => &parts.roles.accent,
            "ok" => &parts.roles.ok,
            "warning" => &parts.roles.warning,
            "critical" => &parts.roles.critical,
            _ => &parts.roles.stale,
        };
        parts.palette.get(value).map_or(value.as_str(), String::as_str)
    };
    let on_background = [
        "text", "quiet", "faint", "title", "accent", "ok", "warning", "critical", "stale",
    ];
    let on_bar = ["text", "quiet", "title", "ok", "warning", "critical"];
    let background = on_background.map(|role| (role, colour(role), colour("background")));
    let bar = on_bar.map(|role| (role, colour(role), colour("bar")));
    background.into_iter().chain(bar).collect()
}

#[test]
fn text_can_be_read_on_the_backgrounds_that_a_theme_sets() {
    for (name, text) in BUILT_IN {
        let parts = file::parse(name, text, &[], 0).unwrap();
        for (role, colour, background) in pairs(&parts) {
            let ratio = btop::contrast(colour, background);
            assert!(
                ratio >= btop::CONTRAST_MIN,
                "{name}: {role} {colour} on {background} has {ratio:.2}"
            );
        }
    }
}

#[test]
fn the_contrast_is_that_of_the_standard() {
    assert!((btop::contrast("#ffffff", "#000000") - 21.0).abs() < 1e-9);
    // The example of the W3C's own tests: the lightest grey that passes on white.
    assert!((btop::contrast("#767676", "#ffffff") - 4.54).abs() < 0.01);
}

#[test]
fn a_theme_changes_some_of_what_it_inherits() {
    let mine = "inherits = \"nord\"\n[palette]\nnord14 = \"#00ff00\"\n[roles]\nwarning = \"#123456\"\n";
    let theme = Theme::parse("mine", mine, ColourDepth::True).unwrap();
    let nord = Theme::load("nord", &[], ColourDepth::True).unwrap();
    assert_eq!(theme.ok().fg, Some(Color::Rgb(0, 255, 0)));
    assert_eq!(theme.warning().fg, Some(Color::Rgb(0x12, 0x34, 0x56)));
    assert_eq!(theme.critical(), nord.critical());
    let error = |text: &str| {
        Theme::parse("mine", text, ColourDepth::True)
            .unwrap_err()
            .to_string()
    };
    assert!(error("inherits = \"nrod\"").contains("there is no theme"));
    assert!(error("[roles]\ntext = \"white\"").contains("lacks background, quiet"));
    assert!(error("inherits = \"dark\"\n[roles]\nfoo = \"white\"").contains("there is no role \"foo\""));
}

#[test]
fn a_circle_of_themes_ends_with_a_reason() {
    let folder = std::env::temp_dir().join(format!("sysmon-themes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.toml"), "inherits = \"b\"").unwrap();
    std::fs::write(folder.join("b.toml"), "inherits = \"a\"").unwrap();
    std::fs::write(
        folder.join("dark.toml"),
        "inherits = \"dark\"\n[roles]\nok = \"#010203\"",
    )
    .unwrap();
    std::fs::write(
        folder.join("c.theme"),
        "theme[main_bg]=\"\"\ntheme[main_fg]=\"#cc\"\n",
    )
    .unwrap();
    let folders = [folder.clone()];
    let circle = Theme::load("a", &folders, ColourDepth::True)
        .unwrap_err()
        .to_string();
    let own = Theme::load("", &folders, ColourDepth::True).unwrap();
    let btop = Theme::load("c", &folders, ColourDepth::True).unwrap();
    let names = Theme::names(&folders);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(circle.contains("inherits from itself"), "{circle}");
    assert_eq!(
        own.ok().fg,
        Some(Color::Rgb(1, 2, 3)),
        "the built-in one of this name was meant"
    );
    assert_eq!(btop.text().fg, Some(Color::Rgb(0xcc, 0xcc, 0xcc)));
    assert!(
        names.ends_with(&["a".into(), "b".into(), "c".into()]),
        "{names:?}"
    );
}

#[test]
fn a_theme_of_btop_gives_its_colours_and_states_stay_apart() {
    // A theme of which one gradient is all of one hue: its states would look alike.
    let one_hue = "theme[main_bg]=\"#101010\"\ntheme[main_fg]=\"#eeeeee\"\ntheme[hi_fg]=\"#ffcc00\"\n\
        theme[temp_start]=\"#80a0ff\"\ntheme[temp_mid]=\"#84a4ff\"\ntheme[temp_end]=\"#88a8ff\"\n";
    let base = file::load("", &[]).unwrap();
    let parts = btop::import("x", one_hue, base.clone()).unwrap();
    let theme = Theme::of(&parts, ColourDepth::True).unwrap();
    assert_eq!(theme.text().bg, Some(Color::Rgb(16, 16, 16)));
    assert_eq!(theme.accent().fg, Some(Color::Rgb(255, 204, 0)));
    assert_eq!(parts.roles.critical, base.roles.critical);
    // One in the usual colours, in both notations.
    let usual = "theme[main_bg]=\"40 42 54\"\ntheme[main_fg]=\"#f8f8f2\"\ntheme[temp_start]=\"#50fa7b\"\n\
        theme[temp_mid]=\"#ffb86c\"\ntheme[temp_end]=\"#ff5555\"\n# a comment\ntheme[oddity]=\"what\"\n";
    let theme = Theme::of(
        &btop::import("x", usual, base.clone()).unwrap(),
        ColourDepth::True,
    )
    .unwrap();
    assert_eq!(theme.ok().fg, Some(Color::Rgb(0x50, 0xfa, 0x7b)));
    let error = btop::import("x", "hello", base).unwrap_err().to_string();
    assert!(error.contains("is it a theme of btop?"), "{error}");
}

#[test]
fn a_light_theme_of_btop_can_be_read() {
    let light = "theme[main_bg]=\"#fafafa\"\ntheme[main_fg]=\"#fafafa\"\n";
    let parts = btop::import("x", light, file::load("", &[]).unwrap()).unwrap();
    for (role, colour, background) in pairs(&parts) {
        let ratio = btop::contrast(colour, background);
        assert!(
            ratio >= btop::CONTRAST_MIN,
            "{role} {colour} on {background} has {ratio:.2}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_file_breaks_it(text in "(theme\\[[a-z_]{0,9}\\]=\"[#0-9a-f ]{0,8}\"\n){0,5}\\PC{0,30}") {
        let base = file::load("", &[]).unwrap();
        if let Ok(parts) = btop::import("x", &text, base) {
            proptest::prop_assert!(Theme::of(&parts, ColourDepth::True).is_ok());
        }
        let _ = Theme::parse("x", &text, ColourDepth::Indexed);
    }
}
