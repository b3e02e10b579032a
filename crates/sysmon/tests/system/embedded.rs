//! Consoles of one user on one machine: the first runs the roles, the others join and one takes over.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use sysmon::embedded::{Embedded, EmbeddedRoles, Places, Sharing};
use sysmon::paths::Paths;
use sysmon::roles::{AlertsRole, CollectorRole};
use sysmon::settings::{Settings, Sources, table};
use sysmon::storage::Storage;
use sysmon_api::Client;
use sysmon_core::UnixMillis;
use sysmon_tui::Connect;

use crate::support::{Home, finish};
use crate::watcher::{Watcher, are_live};

fn places(home: &Home) -> Places {
    Places {
        lock_file: Some(home.path().join("data/sysmon/embedded.lock")),
        socket: home.path().join("runtime/sysmon/embedded.sock"),
    }
}

/// What `sysmon-tui` connects with, reporting under a name that tells who measured.
fn console(home: &Home, machine: &str) -> (Embedded, EmbeddedRoles) {
    let variables = vec![
        ("SYSMON_COLLECTOR_MACHINE_ID".to_owned(), machine.to_owned()),
        ("SYSMON_TUI_INTERVAL".to_owned(), "200ms".to_owned()),
    ];
    let settings = Settings::load(&Sources {
        variables,
        ..Sources::default()
    })
    .finish()
    .unwrap();
    let collector = CollectorRole::local(&settings, &table::TUI_INTERVAL).unwrap();
    let storage = Storage::embedded(&settings, &Paths::default()).unwrap();
    let embedded = Embedded::new(
        collector,
        AlertsRole::default(),
        storage,
        places(home),
        Sharing::Shared,
    );
    let roles = embedded.roles();
    (embedded, roles)
}

async fn shows(client: &Client, machine: &str) {
    let mut watcher = Watcher::start(client.clone());
    watcher
        .wait_for(machine, |fleet| are_live(fleet, &[machine], UnixMillis(0)))
        .await;
}

#[tokio::test]
async fn a_second_console_joins_the_first_and_takes_over_when_that_leaves() {
    let home = Home::new();
    let (mut first, first_roles) = console(&home, "first");
    let (mut second, second_roles) = console(&home, "second");
    shows(&first.connect().await.unwrap(), "first").await;
    shows(&second.connect().await.unwrap(), "first").await;

    first_roles.stop().await;
    assert!(!places(&home).socket.exists(), "the one that leaves tidies up");
    let started = Instant::now();
    shows(&second.connect().await.unwrap(), "second").await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    // The next one joins the one that took over.
    let (mut third, _third_roles) = console(&home, "third");
    shows(&third.connect().await.unwrap(), "second").await;
    second_roles.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_asked_for_again_leads_to_the_roles_that_run_already() {
    let home = Home::new();
    let (mut console, roles) = console(&home, "only");
    shows(&console.connect().await.unwrap(), "only").await;
    shows(&console.connect().await.unwrap(), "only").await;
    roles.stop().await;
}

#[tokio::test]
async fn a_socket_left_by_a_console_that_was_killed_is_no_obstacle() {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("runtime/sysmon")).unwrap();
    std::fs::set_permissions(
        home.path().join("runtime/sysmon"),
        std::fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    drop(std::os::unix::net::UnixListener::bind(places(&home).socket).unwrap());
    let (mut console, roles) = console(&home, "new");
    shows(&console.connect().await.unwrap(), "new").await;
    let (mut other, _) = self::console(&home, "other");
    shows(&other.connect().await.unwrap(), "new").await;
    roles.stop().await;
}

#[tokio::test]
async fn a_console_that_holds_the_lock_and_does_not_answer_is_done_without() {
    let home = Home::new();
    let lock = places(&home).lock_file.unwrap();
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let held = std::fs::File::create(&lock).unwrap();
    held.lock().unwrap();
    let (mut console, roles) = console(&home, "alone");
    shows(&console.connect().await.unwrap(), "alone").await;
    assert!(!places(&home).socket.exists(), "the socket belongs to the holder");
    roles.stop().await;
}

#[tokio::test]
async fn a_socket_in_a_folder_that_others_may_write_to_is_not_trusted() {
    let home = Home::new();
    let (mut first, first_roles) = console(&home, "first");
    shows(&first.connect().await.unwrap(), "first").await;
    let folder = home.path().join("runtime/sysmon");
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let (mut second, second_roles) = console(&home, "second");
    shows(&second.connect().await.unwrap(), "second").await;
    second_roles.stop().await;
    first_roles.stop().await;
}

#[tokio::test]
async fn a_snapshot_comes_from_the_console_that_runs_and_from_the_machine_when_none_does() {
    let home = Home::new();
    let (mut console, roles) = console(&home, "held");
    shows(&console.connect().await.unwrap(), "held").await;
    let mut command = home.sysmon_tui(&["--once", "--format", "json"]);
    let id = async |finished: crate::support::Finished| {
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let printed: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        printed["machines"][0]["machine_id"].clone()
    };
    command.env("SYSMON_COLLECTOR_MACHINE_ID", "own");
    assert_eq!(id(finish(&mut command).await).await, "held");
    roles.stop().await;
    assert_eq!(id(finish(&mut command).await).await, "own");
}
