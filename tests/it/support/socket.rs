//! A client of `graphql-transport-ws`, over a real socket.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderValue, StatusCode},
    },
};

/// Nothing in a test takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Connects as whoever has this access token.
    pub async fn open(server: SocketAddr, token: &str) -> Self {
        let mut socket = Self::upgrade(server, &[]).await.expect("an upgrade");
        socket.init(token).await;
        assert_eq!(socket.receive().await["type"], "connection_ack");
        socket
    }

    /// Connects as nobody; what the server makes of it is to be heard.
    pub async fn anonymous(server: SocketAddr) -> Self {
        let mut socket = Self::upgrade(server, &[]).await.expect("an upgrade");
        socket.begin().await;
        socket
    }

    /// Says no more than the headers of the upgrade.
    pub async fn begin(&mut self) {
        self.say(json!({"type": "connection_init"})).await;
    }

    /// A socket that nothing was said on yet, or the status that it was refused with.
    pub async fn upgrade(server: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Self, StatusCode> {
        let mut request = format!("ws://{server}/graphql/ws")
            .into_client_request()
            .expect("a request");
        for (name, value) in [("sec-websocket-protocol", "graphql-transport-ws")]
            .iter()
            .chain(headers)
        {
            let value = HeaderValue::from_str(value).expect("a header");
            request.headers_mut().insert(*name, value);
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(refusal)) => Err(refusal.status()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Says who it is.
    pub async fn init(&mut self, token: &str) {
        self.init_with(json!(format!("Bearer {token}"))).await;
    }

    /// Says who it is, however a client gets that wrong.
    pub async fn init_with(&mut self, authorization: Value) {
        let payload = json!({"authorization": authorization});
        self.say(json!({"type": "connection_init", "payload": payload})).await;
    }

    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.ask(id, json!({"query": query})).await;
    }

    /// Asks for an operation, by its text or however else the payload has it.
    pub async fn ask(&mut self, id: &str, payload: Value) {
        self.say(json!({"type": "subscribe", "id": id, "payload": payload}))
            .await;
    }

    /// The data of the next event.
    pub async fn event(&mut self) -> Value {
        let mut message = self.receive().await;
        assert_eq!(message["type"], "next", "{message}");
        message["payload"]["data"].take()
    }

    /// The code and reason that the server closes the socket with.
    pub async fn closed(&mut self) -> (u16, String) {
        let frame = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(frame))) => break frame.expect("a close frame says why"),
                    Some(Ok(_)) => {}
                    end => panic!("the socket broke: {end:?}"),
                }
            }
        };
        let frame = timeout(PATIENCE, frame).await.expect("the server closes the socket");
        (frame.code.into(), frame.reason.to_string())
    }

    async fn say(&mut self, message: Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .expect("the server listens");
    }

    pub async fn receive(&mut self) -> Value {
        let text = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => break text,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    end => panic!("the socket closed: {end:?}"),
                }
            }
        };
        let text = timeout(PATIENCE, text).await.expect("the server speaks");
        serde_json::from_str(&text).expect("JSON")
    }
}
