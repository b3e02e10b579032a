//! Server and client against each other, over every transport.

mod authorisation;
mod lifecycle;
mod services;
#[cfg(unix)]
mod sockets;
mod support;
mod tls;
mod transports;
