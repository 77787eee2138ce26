//! Several servers on one PostgreSQL and one Redis. Each reaches Redis over a line of its own, which a test can cut.

use std::{
    net::SocketAddr,
    sync::{Arc, Once},
    time::Duration,
};

use marmalade::{background, config::Config, fleet::Health, secret::Secret};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

use super::{TestApp, url_of};

/// A server of a fleet.
pub struct Member {
    pub app: TestApp,
    line: Line,
}

/// The servers, and Redis as they see it.
pub struct Fleet {
    pub servers: Vec<Member>,
    redis: MultiplexedConnection,
    prefix: String,
}

/// Nothing in a test takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

impl Fleet {
    /// `None` where PostgreSQL or Redis are not to be had.
    pub async fn of(size: usize) -> Option<Self> {
        Self::with(&vec![Duration::ZERO; size], |_| ()).await
    }

    /// Servers whose clocks are ahead by so much, each configured like this.
    pub async fn with(ahead: &[Duration], change: impl Fn(&mut Config)) -> Option<Self> {
        static LOGGED: Once = Once::new();
        let url = url_of("TEST_REDIS_URL", "Redis", &LOGGED)?;
        let first = TestApp::postgres().await?;
        let prefix = format!("test-{}", uuid::Uuid::now_v7().simple());
        let client = redis::Client::open(url.as_str()).expect("TEST_REDIS_URL");
        let redis = client.get_multiplexed_async_connection().await.expect("Redis");
        let upstream = url
            .trim_start_matches("redis://")
            .split('/')
            .next()
            .expect("a host")
            .to_owned();
        let mut servers = Vec::new();
        for ahead in ahead {
            let line = Line::to(upstream.clone()).await;
            let url = Secret(format!("redis://{}/0", line.address));
            let app = first.restarted_ahead(*ahead, |config| {
                (config.redis.url, config.redis.prefix) = (Some(url), prefix.clone());
                change(config);
            });
            let app = app.await;
            tokio::spawn(background::keep_channel(app.app.clone()));
            servers.push(Member { app, line });
        }
        let fleet = Self { servers, redis, prefix };
        for server in &fleet.servers {
            server.is(Health::Connected).await;
        }
        Some(fleet)
    }

    /// Gives somebody on a board other points.
    pub async fn spoil_a_board(&self) {
        let mut redis = self.redis.clone();
        let board = self.keys("*:order").await.pop().expect("a board");
        let somebody: Vec<Vec<u8>> = redis.zrange(&board, 0, 0).await.expect("a member");
        redis
            .zincr::<_, _, _, ()>(board, &somebody[0], 1)
            .await
            .expect("spoilt");
    }

    async fn keys(&self, pattern: &str) -> Vec<String> {
        let pattern = format!("*{}:{pattern}", self.prefix);
        let mut redis = self.redis.clone();
        redis::cmd("KEYS")
            .arg(pattern)
            .query_async(&mut redis)
            .await
            .expect("keys")
    }

    /// Redis forgets all that it holds of this site.
    pub async fn forget(&self) {
        let mut redis = self.redis.clone();
        let keys = self.keys("*").await;
        assert!(!keys.is_empty(), "something was there");
        for key in keys {
            redis.del::<_, ()>(key).await.expect("deleted");
        }
    }
}

impl Member {
    /// The line to Redis is cut, and stays so.
    pub async fn lose_redis(&self) {
        self.line.up.send_replace(false);
        self.is(Health::Disconnected).await;
    }

    /// The line is back.
    pub async fn find_redis(&self) {
        self.line.up.send_replace(true);
        self.is(Health::Connected).await;
    }

    async fn is(&self, health: Health) {
        let fleet = self.app.app.fleet.clone().expect("a fleet");
        timeout(PATIENCE, fleet.until(health))
            .await
            .expect("the server notices");
    }
}

/// A connection to a server that can be cut.
struct Line {
    address: SocketAddr,
    up: Arc<watch::Sender<bool>>,
}

impl Line {
    async fn to(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let up = Arc::new(watch::Sender::new(true));
        let state = up.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (mut up, upstream) = (state.subscribe(), upstream.clone());
                tokio::spawn(async move {
                    if !*up.borrow() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(upstream).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = up.wait_for(|up| !up) => {}
                    }
                });
            }
        });
        Self { address, up }
    }
}
