//! A server that starts and stops.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    on_both_databases,
    support::{TestApp, socket::Socket},
};

/// Where an address may have two connections: whether a third one is closed. When one of them ends there is room again.
async fn is_third_refused(app: TestApp, proxies: Vec<IpNet>) -> bool {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let app = app.restarted_with(|config| {
        (config.server.listen, config.server.trusted_proxies) = (address, proxies);
        config.server.max_connections_of_address = 2;
    });
    let app = app.await.app;
    let stop = app.shutdown.clone();
    let serving = tokio::spawn(marmalade::serve::serve(app, std::future::pending()));
    // A connection that was answered, or nothing where it is closed.
    let ask = async || {
        let mut connection = loop {
            match TcpStream::connect(address).await {
                Ok(connection) => break connection,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let mut answer = [0; 12];
        let request = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
        connection.write_all(request).await.ok()?;
        connection.read_exact(&mut answer).await.ok()?;
        assert_eq!(&answer, b"HTTP/1.1 200");
        Some(connection)
    };
    let open = [ask().await, ask().await];
    assert!(open.iter().all(Option::is_some));
    let third = ask().await;
    drop(open);
    while ask().await.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    let is_refused = third.is_none();
    drop(third);
    assert!(serving.await.expect("no panic").is_ok());
    is_refused
}

on_both_databases! {
    async fn a_server_ends_when_asked_to_stop(app: TestApp) {
        let serving = marmalade::serve::serve(app.app.clone(), async {});
        let served = tokio::time::timeout(Duration::from_secs(30), serving).await.expect("an end");
        assert!(served.is_ok());
    }

    async fn readiness_ends_before_the_server_does(app: TestApp) {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let app = app.restarted_with(|config| (config.server.listen, config.server.stop_delay) = (free, Duration::from_secs(2))).await.app;
        let stop = Arc::new(Notify::new());
        let signal = stop.clone();
        let serving = tokio::spawn(marmalade::serve::serve(app, async move { signal.notified().await }));
        let ask = async |path: &str| {
            let answer = reqwest::get(format!("http://{free}{path}")).await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.expect("a body")))
        };
        while ask("/healthz").await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(ask("/readyz").await, Some((200, "ready\n".to_owned())));
        stop.notify_one();
        let wait = async {
            while ask("/readyz").await != Some((503, "stopping\n".to_owned())) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it says so while it still answers");
        // The proxy is to send no more; what it still sends is served.
        assert_eq!(ask("/graphql?query=%7B__typename%7D").await.map(|(status, _)| status), Some(403), "no page's link");
        let served = tokio::time::timeout(Duration::from_secs(30), serving).await.expect("an end").expect("a task");
        assert!(served.is_ok());
        assert_eq!(ask("/healthz").await, None);
    }

    async fn connections_of_one_address_are_bounded(app: TestApp) {
        assert!(is_third_refused(app, vec![]).await);
    }

    async fn connections_of_a_proxy_are_not_bounded(app: TestApp) {
        assert!(!is_third_refused(app, vec!["127.0.0.0/8".parse().expect("a network")]).await);
    }

    async fn connections_over_the_limit_wait_for_a_permit(app: TestApp) {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let app = app.restarted_with(|config| (config.server.listen, config.server.max_connections) = (address, 1)).await.app;
        let stop = app.shutdown.clone();
        let serving = tokio::spawn(marmalade::serve::serve(app, std::future::pending()));
        let connect = async || loop {
            match TcpStream::connect(address).await {
                Ok(connection) => break connection,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let ask = async |connection: &mut TcpStream| {
            connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("the server listens");
        };
        let mut answer = [0; 12];
        let mut first = connect().await;
        ask(&mut first).await;
        first.read_exact(&mut answer).await.expect("an answer");
        let mut second = connect().await;
        ask(&mut second).await;
        let early = tokio::time::timeout(Duration::from_millis(300), second.read_exact(&mut answer)).await;
        assert!(early.is_err(), "the first one takes all the room");
        drop(first);
        second.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200");
        drop(second);
        let socket = loop {
            // The place may not be free yet.
            if let Ok(socket) = Socket::upgrade(address, &[]).await {
                break socket;
            }
        };
        let mut third = connect().await;
        ask(&mut third).await;
        let early = tokio::time::timeout(Duration::from_millis(300), third.read_exact(&mut answer)).await;
        assert!(early.is_err(), "a WebSocket takes its room as long as it is open");
        drop(socket);
        third.read_exact(&mut answer).await.expect("an answer");
        stop.cancel();
        drop(third);
        assert!(serving.await.expect("no panic").is_ok());
    }
}
