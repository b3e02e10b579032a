//! How a role reaches its aggregator.

use std::path::PathBuf;

use sysmon_api::{Client, ClientConfig, Endpoint, Secret};

use crate::settings::{NamedConnection, Problem, Raw, Setting, SettingValue, Settings, table};

/// The settings of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionSettings {
    endpoint: &'static Setting<Endpoint>,
    token: &'static Setting<Secret>,
    tls_ca: &'static Setting<PathBuf>,
    insecure: &'static Setting<bool>,
}

/// Those of a collector.
pub(super) const COLLECTOR: ConnectionSettings = ConnectionSettings {
    endpoint: &table::COLLECTOR_AGGREGATOR,
    token: &table::COLLECTOR_TOKEN,
    tls_ca: &table::COLLECTOR_TLS_CA,
    insecure: &table::COLLECTOR_INSECURE,
};

const TERMINAL: ConnectionSettings = ConnectionSettings {
    endpoint: &table::TUI_CONNECT,
    token: &table::TUI_TOKEN,
    tls_ca: &table::TUI_TLS_CA,
    insecure: &table::TUI_INSECURE,
};

/// The terminal client's connection with its address; `None` when it is to watch this machine itself.
///
/// # Errors
/// What is wrong with the settings.
pub fn of_terminal(settings: &Settings) -> Result<Option<(Endpoint, Client)>, Vec<Problem>> {
    connection(settings, TERMINAL)
}

/// A connection to an aggregator of which something is asked, with the terminal client's token.
///
/// # Errors
/// What is wrong with the settings.
pub(crate) fn asking(settings: &Settings, endpoint: &Endpoint) -> Result<Client, Vec<Problem>> {
    connect(settings, TERMINAL, endpoint.clone())
}

/// A named connection, with its own token and no other.
///
/// # Errors
/// What is wrong with its settings.
pub(crate) fn named(name: &str, connection: &NamedConnection) -> Result<Client, Problem> {
    let problem = |message: String| {
        Problem::new(
            connection.origin.clone(),
            format!("connections.{name}: {message}"),
        )
    };
    let token = connection.token_file.as_ref().map(|path| {
        let content = std::fs::read_to_string(path)
            .map_err(|error| problem(format!("cannot read {}: {error}", path.display())))?;
        Secret::parse(&Raw::Text(content.trim().into()))
            .map_err(|reason| problem(format!("{}: {reason}", path.display())))
    });
    let config = ClientConfig {
        token: token.transpose()?,
        tls_ca: connection.tls_ca.clone(),
        insecure: connection.insecure,
        ..ClientConfig::new(connection.url.clone())
    };
    Client::new(config).map_err(|error| problem(error.message))
}

/// A connection to an address that somebody types. The token of the settings is for the address of the settings: it is
/// sent to no other.
///
/// # Errors
/// What is wrong with the address, and what to do about it.
pub(crate) fn typed(settings: &Settings, url: &str) -> Result<(Endpoint, Client), String> {
    let endpoint = Endpoint::parse(&Raw::Text(url.into()))
        .map_err(|reason| format!("{reason}; give {}", <Endpoint as SettingValue>::ALLOWED))?;
    let is_own = settings
        .get(&table::TUI_CONNECT)
        .is_some_and(|own: Endpoint| own.to_string() == endpoint.to_string());
    let token = if is_own {
        settings
            .secret(&table::TUI_TOKEN)
            .map_err(|problem| problem.message)?
    } else {
        None
    };
    let config = ClientConfig {
        token,
        tls_ca: settings.get(&table::TUI_TLS_CA),
        insecure: is_own && settings.get(&table::TUI_INSECURE).unwrap_or(false),
        ..ClientConfig::new(endpoint.clone())
    };
    let client = Client::new(config).map_err(|error| error.message)?;
    Ok((endpoint, client))
}

/// As many connections of a collector, for machines that share them.
///
/// # Errors
/// What is wrong with the settings.
pub(crate) fn of_simulation(settings: &Settings, count: u32) -> Result<Vec<Client>, Vec<Problem>> {
    let connections = (0..count).map(|_| match connection(settings, COLLECTOR)? {
        Some((_, client)) => Ok(client),
        None => Err(vec![
            settings.problem(&table::COLLECTOR_AGGREGATOR, "give an address"),
        ]),
    });
    connections.collect()
}

/// A connection as the settings say; `None` without an address.
///
/// # Errors
/// What is wrong with the settings.
pub(super) fn connection(
    settings: &Settings,
    of: ConnectionSettings,
) -> Result<Option<(Endpoint, Client)>, Vec<Problem>> {
    let Some(endpoint) = settings.get(of.endpoint) else {
        return Ok(None);
    };
    let client = connect(settings, of, endpoint.clone())?;
    Ok(Some((endpoint, client)))
}

fn connect(settings: &Settings, of: ConnectionSettings, endpoint: Endpoint) -> Result<Client, Vec<Problem>> {
    let config = ClientConfig {
        token: settings.secret(of.token).map_err(|problem| vec![problem])?,
        tls_ca: settings.get(of.tls_ca),
        insecure: settings.get(of.insecure).unwrap_or(false),
        ..ClientConfig::new(endpoint)
    };
    Client::new(config).map_err(|error| vec![settings.problem(of.endpoint, error.message)])
}
