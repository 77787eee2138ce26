//! Starting and stopping: from a configuration to a server that answers.

mod lock;
mod unread;

use std::{
    convert::Infallible,
    io::Write,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::ConnectInfo,
    http::{Request, StatusCode, Version, header},
};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{Semaphore, oneshot::Receiver},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{io::InspectReader, sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use self::lock::ServerLock;
use crate::{
    app::App,
    background,
    config::{Config, Mode, url_of},
    db::Db,
    demo,
    error::{Error, Result},
    http,
    limit::{Who, slots::Slots},
    open,
    ops::deploy::{self, Severity},
    telemetry,
};

/// Time for requests in flight to finish when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a request's head, and of an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of a client that takes nothing of what is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// What a connection buffers, in each direction: the head of a request, the rest of a response. HTTP/2: of each request.
const BUFFER_BYTES: usize = 64 * 1024;
/// Requests of one HTTP/2 connection at once, as many as RFC 9113 (section 6.5.2) recommends at least.
const HTTP2_REQUESTS: u32 = 100;

/// What a server holds before it writes anything.
struct Place {
    /// The address, on which nobody is answered yet.
    address: TcpSocket,
    lock: ServerLock,
}

impl Place {
    /// Refuses what is unsafe in production, and what another server has. `db` is the database as it is, if it is there.
    async fn take(config: &Config, db: Option<&Db>) -> Result<Self> {
        refuse_unsafe_config(config, db).await?;
        let address = reserve(config.server.listen)?;
        let lock = match db {
            Some(db) if db.read().get_database_backend() == DbBackend::Postgres => {
                ServerLock::of_postgres(db.clone(), config.redis.url.is_some()).await?
            }
            _ => {
                open::make_private(&config.site.data_dir)?;
                ServerLock::of_folder(&config.site.data_dir)?
            }
        };
        Ok(Self { address, lock })
    }
}

/// Takes an address, on which nobody is answered yet.
fn reserve(address: SocketAddr) -> Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let bound = socket.and_then(|socket| {
        // So that a restart need not wait for the connections of before.
        socket.set_reuseaddr(cfg!(unix))?;
        socket.bind(address)?;
        Ok(socket)
    });
    bound.map_err(|error| Error::internal(format!("{address}: {error}")))
}

/// Listens on an address that was reserved.
fn listen(socket: TcpSocket) -> Result<TcpListener> {
    const BACKLOG: u32 = 1024;
    socket
        .listen(BACKLOG)
        .map_err(|error| Error::internal(format!("the address can't be listened on: {error}")))
}

/// Starts a server, and serves until `stop` completes. A start that is refused leaves nothing behind: all is checked
/// before anything is written.
pub async fn start(config: Config, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let db = open::check(&config).await?;
    let place = Place::take(&config, db.as_ref()).await;
    // PostgreSQL's holds the lock.
    if let Some(db) = db.filter(|_| place.is_err() || config.database.url.is_none()) {
        db.close().await?;
    }
    let place = place?;
    let mut stop = Box::pin(stop);
    let app = tokio::select! {
        app = open::open_checked(config) => app?,
        // Nothing is done by half: what was begun is rolled back.
        () = &mut stop => return Ok(()),
    };
    serve_at(place, app, stop).await
}

/// Serves an application until `stop` completes.
pub async fn serve(app: App, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let place = Place::take(&app.config, Some(&app.db)).await?;
    serve_at(place, app, stop).await
}

/// Serves until `stop` completes: then no new connections are accepted, requests in flight are finished, and streams
/// are closed so that clients reconnect elsewhere.
async fn serve_at(place: Place, app: App, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let mut stop = Box::pin(stop);
    if app.config.site.demo {
        let filled = tokio::select! {
            filled = demo::fill_if_empty(&app) => filled?,
            () = &mut stop => return Ok(()),
        };
        if filled {
            tracing::info!("the empty database was filled with demo content");
        }
    }
    let listener = listen(place.address)?;
    let address = listener.local_addr().map_err(Error::internal)?;
    announce(&app, address).await?;

    let tasks = TaskTracker::new();
    background::serve(&app, &tasks);
    if app.config.jobs.work {
        background::work(&app, &tasks);
    }
    tokio::spawn(wait_for_stop(app.clone(), stop));
    let (served, all_served) = tokio::sync::oneshot::channel::<()>();
    let lock_task = tokio::spawn(hold_server_lock(app.clone(), place.lock, all_served));
    let serving = accept(listener, http::router(app.clone())?, app.clone());
    let deadline = async {
        app.shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        () = serving => {}
        () = deadline => tracing::warn!("some requests were not finished in time"),
    }
    tasks.close();
    tasks.wait().await;
    // The database closes when all its connections are back, and this may hold one.
    drop(served);
    let lock_outcome = lock_task.await.map_err(Error::internal)?;
    app.db.close().await?;
    lock_outcome
}

/// Holds the lock of servers until all requests are served. A server that lost it to another stops.
async fn hold_server_lock(app: App, mut lock: ServerLock, mut all_served: Receiver<()>) -> Result<()> {
    const CHECK_INTERVAL: Duration = Duration::from_secs(5);
    while tokio::time::timeout(CHECK_INTERVAL, &mut all_served).await.is_err() {
        match lock.renew().await {
            Err(error @ Error::BadInput(_)) => {
                tracing::error!(cause = error.describe(), "this server stops");
                app.stopping.cancel();
                app.shutdown.cancel();
                return Err(error);
            }
            Err(error) => tracing::warn!(cause = error.describe(), "the lock of the servers is not held"),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// First `/readyz` reports stopping, then no new requests are accepted.
async fn wait_for_stop(app: App, stop: impl Future<Output = ()>) {
    stop.await;
    tracing::info!("stopping");
    app.stopping.cancel();
    tokio::time::sleep(app.config.server.stop_delay).await;
    app.shutdown.cancel();
}

/// Starts a worker, and runs jobs until `stop` completes. A start that is refused leaves nothing behind.
pub async fn start_worker(config: Config, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let db = open::check(&config).await?;
    let is_safe = refuse_unsafe_config(&config, db.as_ref()).await;
    if let Some(db) = db {
        db.close().await?;
    }
    is_safe?;
    let address = config.server.worker_listen.map(reserve).transpose()?;
    let mut stop = Box::pin(stop);
    let app = tokio::select! {
        app = open::open_checked(config) => app?,
        () = &mut stop => return Ok(()),
    };
    work(app, address, stop).await
}

/// Runs jobs until `stop` completes, and serves only health and metrics.
async fn work(app: App, address: Option<TcpSocket>, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let tasks = TaskTracker::new();
    tasks.spawn(background::keep_channel(app.clone()));
    background::work(&app, &tasks);
    if let Some(socket) = address {
        let listener = listen(socket)?;
        let address = listener.local_addr().map_err(Error::internal)?;
        println!("Marmalade runs jobs; health and metrics at http://{address}");
        tasks.spawn(accept(listener, http::machines(app.clone())?, app.clone()));
    } else {
        println!("Marmalade runs jobs");
    }
    if deploy::leads_here(&app.config.site.url) {
        // A server's own address may do on its machine; a worker has none. Whoever started it may have stopped reading.
        let url = &app.config.site.url;
        let hint = format!("  Links in emails lead to {url}: set MARMALADE_SITE_URL if the site's pages are elsewhere");
        _ = writeln!(std::io::stdout(), "{hint}");
    }
    wait_for_stop(app.clone(), stop).await;
    tasks.close();
    tasks.wait().await;
    app.db.close().await
}

/// In production runs `marmalade check --deploy`: logs warnings, and refuses to serve on errors.
async fn refuse_unsafe_config(config: &Config, db: Option<&Db>) -> Result<()> {
    if config.site.mode != Mode::Production {
        if let Some(exposed) = deploy::exposed_development(config) {
            tracing::warn!(about = exposed.about, "{}", exposed.message);
        }
        return Ok(());
    }
    let mut findings = deploy::of_config(config);
    findings.extend(deploy::of_services(config, db).await?);
    let (errors, warnings): (Vec<_>, Vec<_>) = findings
        .into_iter()
        .partition(|finding| finding.severity == Severity::Error);
    for warning in warnings {
        tracing::warn!(about = warning.about, "{}", warning.message);
    }
    if errors.is_empty() {
        return Ok(());
    }
    let list: String = errors.iter().map(|error| format!("  {error}\n")).collect();
    Err(Error::internal(format!(
        "production mode does not serve this:\n{list}Fix it, or set MARMALADE_MODE=development to try things out."
    )))
}

/// Takes connections until the shutdown, and returns when the last one has ended. What `axum::serve` would do, and a
/// client that does not finish the head of a request, or takes nothing of a response, is left. While there is no room, new
/// ones wait; those of an address that has too many are closed.
async fn accept(listener: TcpListener, router: Router, app: App) {
    let settings = &app.config.server;
    let permits = Arc::new(Semaphore::new(settings.max_connections as usize));
    let of_address = Slots::new("connections_of_address", settings.max_connections_of_address);
    let is_proxy = |address: IpAddr| {
        settings
            .trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    };
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        // Names of headers have no case; some clients look for `Sec-WebSocket-Protocol` as they wrote it all the same.
        .title_case_headers(true)
        .preserve_header_case(true);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_TIMEOUT)
        .max_concurrent_streams(HTTP2_REQUESTS)
        .max_send_buf_size(BUFFER_BYTES)
        .enable_connect_protocol();
    let connections = GracefulShutdown::new();
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let permit = permits.clone().acquire_owned().await.ok();
            listener.accept().await.map(|connection| (connection, permit))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            () = app.shutdown.cancelled() => break,
        };
        let ((stream, address), permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly: too many open files, which some will be closed of soon.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let ip = address.ip().to_canonical();
        let slot = (!is_proxy(ip)).then(|| of_address.take(Who::address(Some(ip))));
        let Ok(slot) = slot.transpose() else { continue };
        // A WebSocket outlives the HTTP connection it began as, so the permit is held by the stream itself.
        let permit = (permit, slot, telemetry::Open::connection());
        let mut stream = TimeoutStream::new(InspectReader::new(stream, move |_| _ = &permit));
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let stream = Box::pin(stream);
        let first_request = CancellationToken::new();
        let seen = first_request.clone();
        let (router, unread) = (router.clone(), unread::Unread::default());
        let followed = unread.clone();
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            seen.cancel();
            // How the client wrote its headers is known to hyper alone, which looks for it in the response, too.
            let is_upgrade = request.headers().contains_key(header::UPGRADE);
            let as_written = is_upgrade.then(|| request.extensions().clone());
            request.extensions_mut().insert(ConnectInfo(address));
            let followed = (request.version() == Version::HTTP_2).then(|| followed.clone());
            let responding = router.clone().oneshot(request);
            async move {
                let mut response = responding.await?;
                if let Some(as_written) = as_written.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
                    response.extensions_mut().extend(as_written);
                }
                Ok::<_, Infallible>(match followed {
                    Some(followed) => followed.follow(response),
                    None => response,
                })
            }
        });
        let connection = protocol
            .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
            .into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // Before the first request it is not known yet which protocol's rules hold.
            let idle = async {
                if tokio::time::timeout(HEADER_TIMEOUT, first_request.cancelled())
                    .await
                    .is_ok()
                {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                // A connection's error is the client's.
                _ = connection => {}
                () = idle => {}
                () = unread.stalls(WRITE_TIMEOUT) => {}
            }
        });
    }
    connections.shutdown().await;
}

async fn announce(app: &App, address: SocketAddr) -> Result<()> {
    let url = url_of(address);
    println!("Marmalade serves on {url}");
    println!(
        "  GraphQL    {url}/graphql    WebSocket {}/graphql/ws",
        url.replacen("http", "ws", 1)
    );
    println!("  GraphiQL   {url}/graphiql   for staff");
    if demo::is_present(app.db.read()).await? {
        println!("Demo accounts, all with the password {}:", demo::PASSWORD);
        for (email, who) in demo::ACCOUNTS {
            println!("  {email:<22} {who}");
        }
    }
    Ok(())
}
