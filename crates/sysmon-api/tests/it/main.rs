//! Server and client against each other, over every transport.

#[cfg(test)]
mod authorisation;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod services;
#[cfg(test)]
#[cfg(unix)]
mod sockets;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod transports;
