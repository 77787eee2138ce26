//! A server that starts and stops.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{on_both_databases, support::socket::Socket};

on_both_databases! {
    async fn a_server_that_is_told_to_stop_ends(app: TestApp) {
        let serving = marmalade::serve::serve(app.app.clone(), async {});
        let served = tokio::time::timeout(Duration::from_secs(30), serving).await.expect("an end");
        assert!(served.is_ok());
    }

    async fn connections_over_the_bound_wait_for_room(app: TestApp) {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let app = app.restarted_with(|config| (config.listen, config.max_connections) = (address, 1)).await.app;
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
