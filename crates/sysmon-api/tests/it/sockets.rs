//! The socket for the own user.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use sysmon_api::{Access, ApiError, Code, Server};
use tokio_util::sync::CancellationToken;

use crate::support::{Double, client, pushing, soon};

fn bind(path: &Path) -> Result<Server, ApiError> {
    let mut server = Server::new(Double::new().0, Arc::new(Access::local_only()));
    server.bind_unix(path)?;
    Ok(server)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_socket_and_its_folders_belong_to_their_user_alone_and_go_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/sysmon.sock");
    let server = bind(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("a/b")), 0o700);
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    soon(server.serve(shutdown)).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_left_over_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sysmon.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(
        path.exists(),
        "the listener of the standard library leaves its socket"
    );
    let server = bind(&path).unwrap();
    tokio::spawn(server.serve(CancellationToken::new()));
    pushing(&client(&format!("unix:{}", path.display()), None))
        .await
        .unwrap();
}

#[tokio::test]
async fn of_servers_that_start_at_the_same_time_exactly_one_gets_the_socket() {
    let runtime = tokio::runtime::Handle::current();
    for round in 0..500 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sysmon.sock");
        drop(UnixListener::bind(&path).unwrap());
        let barrier = std::sync::Barrier::new(8);
        let servers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let _runtime = runtime.enter();
                        barrier.wait();
                        bind(&path)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let count = servers.iter().filter(|server| server.is_ok()).count();
        assert_eq!(count, 1, "round {round}");
    }
}

#[test]
fn a_socket_outside_of_a_runtime_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let error = bind(&folder.path().join("sysmon.sock")).unwrap_err();
    assert_eq!(error.code, Code::Internal);
}

#[tokio::test]
async fn a_socket_that_answers_and_what_is_no_socket_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sysmon.sock");
    let first = bind(&path).unwrap();
    let error = bind(&path).unwrap_err();
    assert_eq!(error.code, Code::AlreadyExists);
    assert!(error.message.contains("another server answers"), "{error}");
    tokio::spawn(first.serve(CancellationToken::new()));
    pushing(&client(&format!("unix:{}", path.display()), None))
        .await
        .unwrap();

    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    assert_eq!(bind(&file).unwrap_err().code, Code::AlreadyExists);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[tokio::test]
async fn a_server_that_ends_leaves_the_socket_of_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sysmon.sock");
    let first = bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let _second = bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
}

#[tokio::test]
async fn a_folder_that_others_can_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let link = folder.path().join("link");
    symlink(folder.path(), &link).unwrap();
    for (folder, reason) in [
        (&open, "others may write to it"),
        (&link, "a link is not followed"),
    ] {
        let error = bind(&folder.join("sysmon.sock")).unwrap_err();
        assert_eq!(error.code, Code::FailedPrecondition);
        assert!(error.message.contains(reason), "{error}");
        assert!(!folder.join("sysmon.sock").exists());
    }
}

#[tokio::test]
async fn a_path_that_is_too_long_for_a_socket_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let error = bind(&folder.path().join("x".repeat(120))).unwrap_err();
    assert!(error.message.contains("choose a shorter path"), "{error}");
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_reported_as_such() {
    let error = soon(client("unix:/nonexistent/sysmon.sock", None).health(""))
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .contains("cannot reach unix:/nonexistent/sysmon.sock: there is no such socket"),
        "{error}"
    );
}
