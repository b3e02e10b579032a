//! `sysmon health`.

use std::process::ExitCode;

use eyre::{Report, eyre};
use sysmon_api::{Client, ClientConfig, Endpoint};
use sysmon_core::MachineId;

use crate::command_line::HealthArguments;
use crate::exit::Failure;
use crate::roles::{alerts_socket, collector_health};

/// The name by which a server's health service knows the server as a whole.
const WHOLE_SERVER: &str = "";

/// Succeeds when the server says that it serves; fails when it says otherwise, or nothing in time.
pub(super) async fn run(arguments: &HealthArguments) -> Result<ExitCode, Failure> {
    if let Some(machine) = collector(&arguments.url)? {
        return match collector_health(machine.as_ref()) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(reason) => Err(Failure::runtime(eyre!("{reason}"))),
        };
    }
    let endpoint: Endpoint = if arguments.url == "alerts" {
        Endpoint::unix(alerts_socket())
    } else {
        let url = arguments.url.parse();
        url.map_err(|error| Failure::usage(Report::new(error)))?
    };
    let client = Client::new(ClientConfig {
        tls_ca: arguments.tls_ca.clone(),
        connect_timeout: arguments.timeout,
        ..ClientConfig::new(endpoint)
    })
    .map_err(Failure::usage)?;
    let url = &arguments.url;
    match tokio::time::timeout(arguments.timeout, client.health(WHOLE_SERVER)).await {
        Ok(Ok(true)) => Ok(ExitCode::SUCCESS),
        Ok(Ok(false)) => Err(Failure::runtime(eyre!(
            "{url} does not serve; it starts or stops"
        ))),
        Ok(Err(error)) => Err(Failure::runtime(error)),
        Err(_) => Err(Failure::runtime(eyre!(
            "{url} did not answer in time; check that it runs"
        ))),
    }
}

/// `collector`, or `collector:MACHINE_ID` where there are several: nobody listens there, it tells by a file.
fn collector(url: &str) -> Result<Option<Option<MachineId>>, Failure> {
    match url.strip_prefix("collector") {
        Some("") => Ok(Some(None)),
        Some(rest) if rest.starts_with(':') => {
            let machine = MachineId::parse(&rest[1..]).map_err(|error| Failure::usage(Report::new(error)))?;
            Ok(Some(Some(machine)))
        }
        _ => Ok(None),
    }
}
