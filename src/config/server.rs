//! The keys of the server's sockets and of those who may speak to it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use confique::Config;
use ipnet::IpNet;
use serde::{Deserializer, de::Error};

use crate::{
    setting::{list, milliseconds, parsed},
    text::url,
};

/// Address, origins, proxies and limits of the server.
#[derive(Clone, Debug, Config)]
pub struct Settings {
    /// Network address and port to serve on; port 0 takes a free one.
    #[config(env = "MARMALADE_LISTEN", default = "127.0.0.1:8080", deserialize_with = parsed)]
    pub listen: SocketAddr,
    /// Origins of the single-page app, separated by commas, e.g. `https://exam.example`, without a path; without any, the server's own.
    #[config(env = "MARMALADE_ALLOWED_ORIGINS", default = [], deserialize_with = origins)]
    pub allowed_origins: Vec<String>,
    /// Addresses or networks of the proxies in front, separated by commas, e.g. 10.0.0.0/8; only theirs is
    /// X-Forwarded-For believed.
    #[config(env = "MARMALADE_TRUSTED_PROXIES", default = [], deserialize_with = networks)]
    pub trusted_proxies: Vec<IpNet>,
    /// Connections that are open at once, at least 1; more wait until one ends.
    #[config(env = "MARMALADE_MAX_CONNECTIONS", default = 20_000, validate(*max_connections > 0, "at least 1"))]
    pub max_connections: u32,
    /// Connections of one address that are open at once (IPv6: of a /64), at least 1; more are closed. Those of the
    /// proxies in front are not counted.
    #[config(
        env = "MARMALADE_MAX_CONNECTIONS_OF_ADDRESS",
        default = 2000,
        validate(*max_connections_of_address > 0, "at least 1")
    )]
    pub max_connections_of_address: u32,
    /// WebSockets, server-sent event streams and multipart streams of one account that are open at once on a server, at
    /// least 1; more are refused.
    #[config(
        env = "MARMALADE_MAX_STREAMS_OF_ACCOUNT",
        default = 20,
        validate(*max_streams_of_account > 0, "at least 1")
    )]
    pub max_streams_of_account: u32,
    /// The same without an account, of one address (IPv6: of a /64), at least 1. A WebSocket that brings its credential
    /// with connection_init is counted here until then.
    #[config(
        env = "MARMALADE_MAX_STREAMS_OF_ADDRESS",
        default = 1000,
        validate(*max_streams_of_address > 0, "at least 1")
    )]
    pub max_streams_of_address: u32,
    /// Time for which changes of a board are collected before its streams are notified, at least 1 millisecond.
    #[config(
        env = "MARMALADE_BOARD_TICK_MS",
        default = 250,
        deserialize_with = milliseconds,
        validate(!board_tick.is_zero(), "at least 1")
    )]
    pub board_tick: Duration,
    /// Time for which a server reports stopping at /readyz and keeps serving, in milliseconds, until the proxy in front
    /// has noticed.
    #[config(env = "MARMALADE_STOP_DELAY_MS", default = 0, deserialize_with = milliseconds)]
    pub stop_delay: Duration,
    /// Network address and port at which a `marmalade worker` answers /healthz, /readyz and /metrics; without one it does not
    /// listen.
    #[config(env = "MARMALADE_WORKER_LISTEN", deserialize_with = parsed)]
    pub worker_listen: Option<SocketAddr>,
}

/// As browsers send them.
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origin = |text: String| {
        let origin = url::origin(&text).ok_or_else(|| D::Error::custom(format!("{text} is not an origin")))?;
        Ok(origin.ascii_serialization())
    };
    list(deserializer)?.into_iter().map(origin).collect()
}

/// An address alone is the network of just that address.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: String| {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse());
        network.map_err(|_| D::Error::custom(format!("{text} is neither an address nor a network")))
    };
    list(deserializer)?.into_iter().map(network).collect()
}
