//! `sysmon health`.

use std::process::ExitCode;

use eyre::{Report, eyre};
use sysmon_api::{Client, ClientConfig, Endpoint};

use crate::command_line::HealthArguments;
use crate::exit::Failure;

/// The name by which a server's health service knows the server as a whole.
const WHOLE_SERVER: &str = "";

/// Succeeds when the server says that it serves; fails when it says otherwise, or nothing in time.
pub(super) async fn run(arguments: &HealthArguments) -> Result<ExitCode, Failure> {
    let endpoint: Endpoint = arguments
        .url
        .parse()
        .map_err(|error| Failure::usage(Report::new(error)))?;
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
