use super::*;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const PERIOD: Duration = Duration::from_secs(10);

/// An engine that answers by path and notes what it was asked.
struct FakeEngine {
    answers: Mutex<HashMap<String, String>>,
    asked: Mutex<Vec<String>>,
}

impl FakeEngine {
    fn start(socket: &Path) -> Arc<Self> {
        let engine = Arc::new(Self {
            answers: Mutex::default(),
            asked: Mutex::default(),
        });
        engine.set("/version", r#"{"ApiVersion":"1.43","Version":"24.0"}"#);
        engine.set("/info", r#"{"MemTotal":1000000}"#);
        let listener = UnixListener::bind(socket).unwrap();
        let serving = Arc::clone(&engine);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap().split('?').next().unwrap();
                    // The version of the protocol comes first.
                    let path = path
                        .strip_prefix("/v1.43")
                        .or(path.strip_prefix("/v1.53"))
                        .unwrap_or(path);
                    serving.asked.lock().unwrap().push(path.to_owned());
                    let body = serving.answers.lock().unwrap().get(path).cloned();
                    let Some(body) = body else {
                        return std::future::pending().await;
                    };
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        engine
    }

    fn set(&self, path: &str, body: &str) {
        self.answers.lock().unwrap().insert(path.into(), body.into());
    }
}

fn values(readings: &[Reading]) -> HashMap<(MetricId, String), f64> {
    readings
        .iter()
        .map(|reading| {
            (
                (reading.metric, reading.entity.clone().unwrap()),
                reading.value.unwrap(),
            )
        })
        .collect()
}

fn statistics(processor_ns: u64, received: u64) -> String {
    // One line, as the engine sends it.
    format!(
        "{{\"cpu_stats\":{{\"cpu_usage\":{{\"total_usage\":{processor_ns}}}}},\
            \"memory_stats\":{{\"usage\":5000,\"limit\":1000000,\"stats\":{{\"inactive_file\":1000}}}},\
            \"networks\":{{\"eth0\":{{\"rx_bytes\":{received},\"tx_bytes\":7}},\"eth1\":{{\"rx_bytes\":1,\"tx_bytes\":0}}}}}}\n"
    )
}

#[tokio::test]
async fn containers_are_followed_and_one_that_fails_silences_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let engine = FakeEngine::start(&socket);
    engine.set(
        "/containers/json",
        r#"[{"Id":"a1","Names":["/web"],"State":"running","Status":"Up 2 hours (healthy)"},
            {"Id":"b2","Names":["/db"],"State":"exited","Status":"Exited (1) 3 minutes ago"},
            {"Id":"c3","Names":["/bad"],"State":"running","Status":"Up 1 second"}]"#,
    );
    engine.set("/containers/a1/stats", &statistics(1_000_000_000, 100));
    engine.set("/containers/a1/json", r#"{"RestartCount":3}"#);
    engine.set("/containers/c3/stats", "oops\n");
    engine.set("/containers/c3/json", "oops");
    engine.set("/containers/b2/json", r#"{"RestartCount":0}"#);
    let mut probe = ContainerProbe::new(vec![directory.path().join("none"), socket]);
    let first = values(&probe.run(PERIOD).await.unwrap());
    let of = |metric, name: &str| (metric, name.to_owned());
    for (metric, name, expected) in [
        (MetricId::ContainerRunning, "web", 1.0),
        (MetricId::ContainerRunning, "db", 0.0),
        (MetricId::ContainerRunning, "bad", 1.0),
        (MetricId::ContainerHealthy, "web", 1.0),
        (MetricId::ContainerRestarts, "web", 3.0),
        (MetricId::ContainerRestarts, "db", 0.0),
        (MetricId::ContainerMemory, "web", 4_000.0),
    ] {
        assert_eq!(first.get(&of(metric, name)), Some(&expected), "{metric:?} {name}");
    }
    for metric in [
        MetricId::ContainerCpu,
        MetricId::ContainerReceive,
        MetricId::ContainerMemoryLimit,
    ] {
        assert!(
            !first.contains_key(&of(metric, "web")),
            "{metric:?}: no rate at first, and there is no limit"
        );
    }
    assert!(
        !first.contains_key(&of(MetricId::ContainerHealthy, "db")),
        "it has no health check"
    );

    engine.asked.lock().unwrap().clear();
    engine.set("/containers/a1/stats", &statistics(1_500_000_000, 300));
    let second = values(&probe.run(PERIOD).await.unwrap());
    assert!(second[&of(MetricId::ContainerCpu, "web")] > 0.0);
    assert!(second[&of(MetricId::ContainerReceive, "web")] > 0.0);
    assert_eq!(second[&of(MetricId::ContainerTransmit, "web")], 0.0);
    assert_eq!(
        second[&of(MetricId::ContainerRestarts, "web")],
        3.0,
        "as last looked up"
    );
    let mut asked = engine.asked.lock().unwrap().clone();
    asked.sort();
    let expected = ["/containers/a1/stats", "/containers/c3/stats", "/containers/json"];
    assert_eq!(
        asked, expected,
        "what hardly changes is not asked for at every run"
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_is_a_failure_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let _engine = FakeEngine::start(&socket);
    let error = ContainerProbe::new(vec![socket]).run(PERIOD).await.unwrap_err();
    assert!(matches!(error, ProbeError::Timeout(_)), "{error}");
}

#[tokio::test]
async fn without_a_socket_nothing_is_asked_and_nothing_is_there() {
    let mut probe = ContainerProbe::new(vec!["/nonexistent/docker.sock".into()]);
    assert_eq!(probe.run(PERIOD).await.unwrap(), []);
    assert_eq!(ContainerProbe::new(Vec::new()).run(PERIOD).await.unwrap(), []);
}

#[test]
fn the_result_of_a_health_check_is_known_or_absent() {
    let summary = |status: &str| Summary {
        status: Some(status.into()),
        ..Summary::default()
    };
    assert_eq!(is_healthy(&summary("Up 2 hours (unhealthy)")), Some(false));
    assert_eq!(is_healthy(&summary("Up 2 seconds (health: starting)")), None);
    assert_eq!(is_healthy(&summary("Up 2 hours")), None);
}
