use super::*;
use crate::command_line::Flags;
use std::path::Path;
use std::time::Duration;

fn file(folder: &Path, name: &str, text: &str) -> FileSource {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    FileSource {
        path,
        is_required: true,
    }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

fn of_variables(pairs: &[(&str, &str)]) -> Sources {
    Sources {
        variables: variables(pairs),
        ..Sources::default()
    }
}

fn problems(sources: &Sources) -> Vec<String> {
    Settings::load(sources)
        .finish()
        .unwrap_err()
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_flag_goes_before_a_variable_before_the_later_file_before_the_earlier_before_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let text = |seconds: u8| format!("[collector]\ninterval = \"{seconds}s\"\n");
    let mut sources = Sources::default();
    let interval = |sources: &Sources| {
        let settings = Settings::load(sources).finish().unwrap();
        let Interval(interval) = settings.get(&table::COLLECTOR_INTERVAL).unwrap();
        (
            interval.as_secs(),
            settings.origin(&table::COLLECTOR_INTERVAL).unwrap().to_string(),
        )
    };
    assert_eq!(interval(&sources), (5, "default".into()));
    sources.files.push(file(folder.path(), "system.toml", &text(11)));
    assert_eq!(interval(&sources).0, 11);
    sources.files.push(file(folder.path(), "user.toml", &text(12)));
    let expected = format!("{}:2", folder.path().join("user.toml").display());
    assert_eq!(interval(&sources), (12, expected));
    sources.variables = variables(&[("SYSMON_COLLECTOR_INTERVAL", "13s")]);
    assert_eq!(interval(&sources), (13, "SYSMON_COLLECTOR_INTERVAL".into()));
    let typed = "14s".to_owned();
    sources.flags = Flags::default()
        .text(&table::COLLECTOR_INTERVAL, "--interval", Some(&typed))
        .into_values();
    assert_eq!(interval(&sources), (14, "--interval".into()));
}

#[test]
fn every_mistake_of_every_source_is_reported_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = "interval = \"1s\"\n\n[colector]\na = 1\n\n[collector]\nintervall = \"1s\"\ninterval = \"5x\"\nlabels = { role = 1 }\n\
                [aggregator]\nlisten = true\n[grafana]\nurl = \"x\"\n";
    let typed = "nowhere".to_owned();
    let sources = Sources {
        files: vec![
            file(folder.path(), "a.toml", text),
            FileSource {
                path: folder.path().join("missing.toml"),
                is_required: true,
            },
        ],
        variables: variables(&[
            ("SYSMON_COLLECTOR_INTERVAL", "2 days"),
            ("SYSMON_LOG_LEVLE", "info"),
        ]),
        flags: Flags::default()
            .text(&table::AGGREGATOR_LISTEN, "--listen", Some(&typed))
            .into_values(),
    };
    let problems = problems(&sources);
    let a = folder.path().join("a.toml").display().to_string();
    for expected in [
        format!("{a}:1: interval stands outside a section; put it below [collector]"),
        format!("{a}:3: there is no section [colector]; did you mean [collector]?"),
        format!("{a}:7: there is no setting collector.intervall; did you mean collector.interval?"),
        format!("{a}:8: collector.interval: \"5x\" is no duration; give 100ms to 1h, such as 250ms, 5s or 1m"),
        format!("{a}:9: collector.labels: integer is no text; put it in quotes"),
        format!("{a}:12: there is no section [grafana]; there are [log], [aggregator], [auth], [storage], [alerts], [collector], [tui]"),
        "SYSMON_COLLECTOR_INTERVAL: collector.interval: \"2 days\" is no duration; give 100ms to 1h, such as 250ms, 5s or 1m".into(),
        "SYSMON_LOG_LEVLE: no setting has this name; did you mean SYSMON_LOG_LEVEL?".into(),
    ] {
        assert!(problems.contains(&expected), "{expected}\nis not in\n{problems:#?}");
    }
    for part in [
        "a.toml:11: aggregator.listen: boolean",
        "missing.toml: cannot read it",
        "--listen: aggregator.listen: \"nowhere\"",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{part}\nis not in\n{problems:#?}"
        );
    }
    assert_eq!(problems.len(), 11, "{problems:#?}");
}

#[test]
fn a_file_that_is_no_toml_names_the_line_and_still_reports_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources {
        files: vec![file(folder.path(), "a.toml", "[log]\nlevel = = \"x\"\n[log2]\n")],
        ..Sources::default()
    };
    let problems = problems(&sources);
    assert!(
        problems.iter().any(|problem| problem.contains("a.toml:2:")),
        "{problems:#?}"
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("did you mean [log]")),
        "{problems:#?}"
    );
}

#[test]
fn a_secret_comes_from_a_variable_or_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("token");
    std::fs::write(&secret, "sm_abc123\n").unwrap();
    let secret = secret.to_str().unwrap();
    let by_file = Sources {
        files: vec![file(
            folder.path(),
            "a.toml",
            "[collector]\ntoken_file = \"token\"\n",
        )],
        ..Sources::default()
    };
    for (sources, shown) in [
        (of_variables(&[("SYSMON_COLLECTOR_TOKEN", "sm_abc123")]), "***"),
        (of_variables(&[("SYSMON_COLLECTOR_TOKEN_FILE", secret)]), secret),
        (by_file, secret),
    ] {
        let settings = Settings::load(&sources).finish().unwrap();
        let token = settings.secret(&table::COLLECTOR_TOKEN).unwrap().unwrap();
        assert_eq!(token.reveal(), "sm_abc123");
        for text in [
            format!("{settings:?}"),
            settings.print(PrintFormat::Toml),
            settings.print(PrintFormat::Json),
        ] {
            assert!(!text.contains("abc123") && text.contains(shown), "{text}");
        }
        assert!(!format!("{token:?} {sources:?}").contains("abc123"));
    }
    let both = of_variables(&[
        ("SYSMON_COLLECTOR_TOKEN_FILE", secret),
        ("SYSMON_COLLECTOR_TOKEN", "sm_x"),
    ]);
    assert_eq!(problems(&both).len(), 1);
    let broken = problems(&of_variables(&[("SYSMON_COLLECTOR_TOKEN", "has a space")]));
    assert!(!broken[0].contains("has a space"), "{broken:?}");
}

#[test]
fn a_secret_file_is_read_only_by_who_needs_it_and_then_its_absence_is_told() {
    let sources = Sources {
        variables: variables(&[("SYSMON_COLLECTOR_TOKEN_FILE", "/nonexistent/token")]),
        ..Sources::default()
    };
    let settings = Settings::load(&sources).finish().unwrap();
    let problem = settings.secret(&table::COLLECTOR_TOKEN).unwrap_err().to_string();
    assert!(
        problem.starts_with("SYSMON_COLLECTOR_TOKEN_FILE: collector.token: cannot read /nonexistent/token"),
        "{problem}"
    );
    assert_eq!(settings.secret(&table::TUI_TOKEN), Ok(None));
}

#[test]
fn what_follows_from_the_settings_is_reported_with_what_is_wrong_with_them() {
    let sources = Sources {
        variables: variables(&[("SYSMON_COLLECTOR_INTERVAL", "5x")]),
        ..Sources::default()
    };
    let further = |settings: &Settings| -> Result<(), _> {
        assert_eq!(
            settings.get(&table::COLLECTOR_INTERVAL).unwrap().0.as_secs(),
            5,
            "the default"
        );
        Err(vec![settings.problem(&table::AGGREGATOR_LISTEN, "further")])
    };
    let error = Settings::load(&sources).with(further).unwrap_err();
    assert_eq!(error.problems().len(), 2, "{error}");
}

#[test]
fn what_is_printed_is_a_file_that_gives_the_same_settings() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources {
        variables: variables(&[
            ("SYSMON_COLLECTOR_LABELS", "role=web, dc.name=a\"b"),
            ("SYSMON_TUI_ASCII", "true"),
            ("SYSMON_COLLECTOR_MACHINE_ID", "web-1"),
        ]),
        ..Sources::default()
    };
    let first = Settings::load(&sources).finish().unwrap();
    let printed = first.print(PrintFormat::Toml);
    let again = Sources {
        files: vec![file(folder.path(), "a.toml", &printed)],
        ..Sources::default()
    };
    let second = Settings::load(&again).finish().unwrap();
    assert_eq!(
        first.get(&table::COLLECTOR_LABELS),
        second.get(&table::COLLECTOR_LABELS)
    );
    assert_eq!(second.get(&table::TUI_ASCII), Some(true));
    assert_eq!(
        second.get(&table::COLLECTOR_MACHINE_ID),
        first.get(&table::COLLECTOR_MACHINE_ID)
    );
}

#[test]
fn the_example_file_is_valid_when_every_setting_in_it_is_put_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let mut uncommented = String::new();
    for line in example_file().lines() {
        let setting = line.strip_prefix("# ").filter(|rest| {
            rest.split_once(" = ")
                .is_some_and(|(key, _)| TABLE.iter().any(|setting| setting.key() == key))
        });
        uncommented.push_str(setting.unwrap_or(line));
        uncommented.push('\n');
    }
    let uncommented = uncommented.replace("\"…\"", "\"sm_example\"");
    let sources = Sources {
        files: vec![file(folder.path(), "a.toml", &uncommented)],
        ..Sources::default()
    };
    let settings = Settings::load(&sources).finish().unwrap();
    for setting in TABLE {
        let effective = settings.effective(*setting).unwrap();
        assert!(
            matches!(effective.origin, Origin::File { .. }),
            "{} is not in the example",
            setting.name()
        );
    }
}

#[test]
fn foreign_variables_of_our_name_are_no_error() {
    let foreign = [
        ("SYSMON_SERVICE_HOST", "10.0.0.1"),
        ("SYSMON_PORT_50051_TCP_ADDR", "x"),
        ("SYSMON_TEST_X", "y"),
        ("PATH", "z"),
    ];
    let settings = Settings::load(&Sources {
        variables: variables(&foreign),
        ..Sources::default()
    })
    .finish()
    .unwrap();
    assert_eq!(settings.warnings().len(), 2, "{:?}", settings.warnings());
}

#[test]
fn paths_in_a_file_are_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources {
        files: vec![file(
            folder.path(),
            "a.toml",
            "[aggregator]\ntls_cert = \"cert.pem\"\ntls_key = \"/etc/key.pem\"\n",
        )],
        ..Sources::default()
    };
    let settings = Settings::load(&sources).finish().unwrap();
    assert_eq!(
        settings.get(&table::AGGREGATOR_TLS_CERT),
        Some(folder.path().join("cert.pem"))
    );
    assert_eq!(
        settings.get(&table::AGGREGATOR_TLS_KEY),
        Some("/etc/key.pem".into())
    );
}

#[test]
fn durations_need_a_unit_and_stay_within_their_bounds() {
    let parse = |text: &str| {
        Interval::parse(&Raw::Text(text.into()))
            .ok()
            .map(|Interval(interval)| interval)
    };
    assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
    assert_eq!(parse("1h"), Some(Duration::from_secs(3_600)));
    for bad in [
        "",
        "5",
        "5x",
        "-1s",
        "99ms",
        "61m",
        "1.5s",
        "s",
        "99999999999999999999h",
        "18446744073709551615h",
    ] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

#[test]
fn a_mistake_in_an_address_is_told_once_with_what_is_allowed() {
    let typed = "http://web-1:0".to_owned();
    let flags = Flags::default().text(&table::TUI_CONNECT, "--connect", Some(&typed));
    let problems = problems(&Sources {
        flags: flags.into_values(),
        ..Sources::default()
    });
    assert_eq!(
        problems,
        [
            "--connect: tui.connect: http://web-1:0 is no endpoint: the port is not between 1 and 65535; \
          give http://HOST:PORT, https://HOST:PORT or unix:/PATH"
        ]
    );
}
