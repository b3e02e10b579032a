//! Configuration as the programs see it: files, variables and flags of a real process.

use serde_json::Value;

use crate::support::{Home, finish};

async fn printed(home: &Home, variables: &[(&str, &str)]) -> Vec<Value> {
    let mut command = home.sysmon(&["config", "print", "--format", "json"]);
    let finished = finish(command.envs(variables.iter().copied())).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout).unwrap()
}

fn find<'a>(settings: &'a [Value], name: &str) -> &'a Value {
    settings.iter().find(|setting| setting["name"] == name).unwrap()
}

#[tokio::test]
async fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let home = Home::new();
    let settings = printed(&home, &[]).await;
    assert_eq!(find(&settings, "aggregator.listen")["value"], "127.0.0.1:50051");
    assert_eq!(find(&settings, "aggregator.listen")["source"], "default");

    let file = home.configure("[aggregator]\nlisten = \"127.0.0.2:0\"\n");
    let settings = printed(&home, &[]).await;
    assert_eq!(find(&settings, "aggregator.listen")["value"], "127.0.0.2:0");
    assert_eq!(
        find(&settings, "aggregator.listen")["source"],
        format!("{}:2", file.display())
    );

    let variable = ("SYSMON_AGGREGATOR_LISTEN", "127.0.0.3:0");
    let settings = printed(&home, &[variable]).await;
    assert_eq!(find(&settings, "aggregator.listen")["value"], "127.0.0.3:0");
    assert_eq!(find(&settings, "aggregator.listen")["source"], variable.0);

    let mut command = home.sysmon(&["aggregator", "--listen", "127.0.0.4:0"]);
    let mut aggregator = crate::support::Role::spawn(command.envs([variable]));
    let line = aggregator
        .wait_for_log("the server listens", |line| line["message"] == "listening")
        .await;
    let address = line["address"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.4:"), "{address}");
}

#[tokio::test]
async fn every_mistake_is_reported_at_once_and_nothing_starts() {
    let home = Home::new();
    home.configure("[colector]\ninterval = \"1s\"\n[collector]\nintervall = \"1s\"\n");
    for arguments in [
        &["aggregator", "--listen", "nowhere"][..],
        &["up", "--listen", "nowhere"],
    ] {
        let mut command = home.sysmon(arguments);
        let finished = finish(command.env("SYSMON_COLLECTOR_INTERVAL", "5x")).await;
        assert_eq!(finished.code, Some(64), "{finished:?}");
        for part in [
            "4 errors",
            "sysmon.toml:1: there is no section [colector]; did you mean [collector]?",
            "sysmon.toml:4: there is no setting collector.intervall; did you mean collector.interval?",
            "SYSMON_COLLECTOR_INTERVAL: collector.interval: \"5x\" is no duration",
            "--listen: aggregator.listen: \"nowhere\" is no address",
        ] {
            assert!(
                finished.stderr.contains(part),
                "{part}\nis not in\n{}",
                finished.stderr
            );
        }
        assert!(!finished.stderr.contains("listening"), "{}", finished.stderr);
    }
    assert_eq!(
        std::fs::read_dir(home.path().join("runtime")).unwrap().count(),
        0,
        "no socket"
    );
}

#[tokio::test]
async fn check_finds_what_single_settings_do_not_show() {
    let home = Home::new();
    let good = finish(&mut home.sysmon(&["config", "check"])).await;
    assert_eq!(
        (good.code, good.stdout.as_str()),
        (Some(0), "configuration is valid\n")
    );
    home.configure(
        "[aggregator]\nlisten = \"0.0.0.0:50051\"\n[collector]\naggregator = \"http://192.0.2.1:50051\"\n\
         token = \"sysmon_x\"\n[tui]\nconnect = \"https://192.0.2.1:50051\"\ntls_ca = \"missing.pem\"\n",
    );
    let bad = finish(&mut home.sysmon(&["config", "check"])).await;
    assert_eq!((bad.code, bad.stdout.as_str()), (Some(64), ""));
    for part in [
        "3 errors",
        "sysmon.toml:2: aggregator.listen: 0.0.0.0:50051 can be reached from other machines",
        "sysmon.toml:4: collector.aggregator: the token would go to http://192.0.2.1:50051 unencrypted",
        "sysmon.toml:7: tui.connect: cannot read",
    ] {
        assert!(bad.stderr.contains(part), "{part}\nis not in\n{}", bad.stderr);
    }
}

#[tokio::test]
async fn secrets_come_from_files_and_are_never_printed() {
    let home = Home::new();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "sysmon_geheim\n").unwrap();
    for format in ["toml", "json"] {
        let mut command = home.sysmon(&["config", "print", "--format", format]);
        command
            .env("SYSMON_COLLECTOR_TOKEN_FILE", &secret)
            .env("SYSMON_TUI_TOKEN", "sysmon_geheim");
        let printed = finish(&mut command).await.stdout;
        assert!(!printed.contains("geheim"), "{printed}");
        assert!(
            printed.contains("***") && printed.contains(secret.to_str().unwrap()),
            "{printed}"
        );
    }
    let mut missing = home.sysmon(&["config", "check"]);
    let finished = finish(missing.env("SYSMON_TUI_TOKEN_FILE", home.path().join("nothing"))).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
    assert!(
        finished
            .stderr
            .contains("SYSMON_TUI_TOKEN_FILE: tui.token: cannot read"),
        "{finished:?}"
    );
}

#[tokio::test]
async fn a_secret_that_only_the_collector_may_read_is_no_obstacle_to_the_others() {
    let home = Home::new();
    home.configure("[collector]\ntoken_file = \"/nonexistent/token\"\n");
    home.start_aggregator(&[]).await;
    let once = finish(&mut home.sysmon_tui(&["--once"])).await;
    assert_eq!(once.code, Some(0), "{once:?}");
    let collector = finish(&mut home.sysmon(&["collector"])).await;
    assert_eq!(collector.code, Some(64), "{collector:?}");
    assert!(
        collector
            .stderr
            .contains("sysmon.toml:2: collector.token: cannot read"),
        "{collector:?}"
    );
}

#[tokio::test]
async fn the_terminal_client_refuses_bad_settings_before_it_touches_the_terminal() {
    let home = Home::new();
    for (arguments, part) in [
        (
            &["--interval", "5x"][..],
            "--interval: tui.interval: \"5x\" is no duration",
        ),
        (
            &["--connect", "nowhere:1"],
            "--connect: tui.connect: nowhere:1 is no endpoint",
        ),
        (&["--theme", "no-such-theme"], "no-such-theme"),
        (
            &["--token-file", "missing", "--connect", "http://127.0.0.1:1"],
            "--token-file: tui.token: cannot read missing",
        ),
        (
            &["--connect", "http://127.0.0.1:1", "--interval", "1s"],
            "cannot be used with",
        ),
    ] {
        let finished = finish(&mut home.sysmon_tui(arguments)).await;
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(64), ""),
            "{finished:?}"
        );
        assert!(
            finished.stderr.contains(part),
            "{part}\nis not in\n{}",
            finished.stderr
        );
    }
}
