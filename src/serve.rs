//! Starting and stopping: from a configuration to a server that answers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot::Receiver},
};
use tokio_util::{io::InspectReader, sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    app::App,
    background,
    config::Mode,
    db::AdvisoryLock,
    demo,
    error::{Error, Result},
    http,
    ops::deploy::{self, Severity},
    telemetry,
};

/// Time for requests in flight to finish when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a request's head, and of an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until `stop` completes: then no new connections are accepted, requests in flight are finished, and streams
/// are closed so that clients reconnect elsewhere.
pub async fn serve(app: App, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    if app.config.site.mode == Mode::Production {
        refuse_unsafe_config(&app).await?;
    } else if let Some(exposed) = deploy::exposed_development(&app.config) {
        tracing::warn!(about = exposed.about, "{}", exposed.message);
    }
    let server_lock = app.db.single_server_or_fleet(app.fleet.is_some()).await?;
    if app.config.site.demo {
        let lock = app.db.advisory_lock(AdvisoryLock::Fill).await?;
        if demo::fill_if_empty(&app).await? {
            tracing::info!("the empty database was filled with demo content");
        }
        drop(lock);
    }
    let listener = TcpListener::bind(app.config.server.listen)
        .await
        .map_err(|error| Error::internal(format!("{}: {error}", app.config.server.listen)))?;
    let address = listener.local_addr().map_err(Error::internal)?;
    announce(&app, address).await?;

    let tasks = TaskTracker::new();
    background::serve(&app, &tasks);
    if app.config.jobs.work {
        background::work(&app, &tasks);
    }
    tokio::spawn(wait_for_stop(app.clone(), stop));
    let (served, all_served) = tokio::sync::oneshot::channel::<()>();
    let lock_task = tokio::spawn(hold_server_lock(app.clone(), server_lock, all_served));
    let permits = Arc::new(Semaphore::new(app.config.server.max_connections as usize));
    let serving = accept(listener, http::router(app.clone()), permits, app.shutdown.clone());
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
    // The database closes when all its connections are back, and this holds one.
    drop(served);
    let lock_outcome = lock_task.await.map_err(Error::internal)?;
    app.db.close().await?;
    lock_outcome
}

/// Holds the advisory lock of servers until all requests are served. The lock is lost with its connection, and then
/// taken again. A server that finds it taken by another stops.
async fn hold_server_lock(app: App, mut lock: Option<DatabaseTransaction>, mut all_served: Receiver<()>) -> Result<()> {
    const CHECK_INTERVAL: Duration = Duration::from_secs(5);
    while tokio::time::timeout(CHECK_INTERVAL, &mut all_served).await.is_err() {
        let Some(held) = &lock else { continue };
        if held.execute_unprepared("SELECT 1").await.is_ok() {
            continue;
        }
        tracing::warn!("the lock of the servers was lost with its connection; it is taken again");
        while let Err(error) = app
            .db
            .single_server_or_fleet(app.fleet.is_some())
            .await
            .map(|again| lock = again)
        {
            if matches!(&error, Error::BadInput(_)) {
                tracing::error!(cause = error.describe(), "this server stops");
                app.stopping.cancel();
                app.shutdown.cancel();
                return Err(error);
            }
            if tokio::time::timeout(CHECK_INTERVAL, &mut all_served).await.is_ok() {
                return Ok(());
            }
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

/// Runs jobs until `stop` completes, and serves only health and metrics.
pub async fn work(app: App, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    if app.config.site.mode == Mode::Production {
        refuse_unsafe_config(&app).await?;
    }
    let tasks = TaskTracker::new();
    tasks.spawn(background::keep_channel(app.clone()));
    background::work(&app, &tasks);
    if let Some(address) = app.config.server.worker_listen {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| Error::internal(format!("{address}: {error}")))?;
        let address = listener.local_addr().map_err(Error::internal)?;
        println!("Marmalade runs jobs; health and metrics at http://{address}");
        let permits = Arc::new(Semaphore::new(app.config.server.max_connections as usize));
        tasks.spawn(accept(
            listener,
            http::machines(app.clone()),
            permits,
            app.shutdown.clone(),
        ));
    } else {
        println!("Marmalade runs jobs");
    }
    wait_for_stop(app.clone(), stop).await;
    tasks.close();
    tasks.wait().await;
    app.db.close().await
}

/// Runs `marmalade check --deploy`: logs warnings, and refuses to serve on errors.
async fn refuse_unsafe_config(app: &App) -> Result<()> {
    let (errors, warnings): (Vec<_>, Vec<_>) = deploy::check(&app.config, &app.db)
        .await?
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
/// client that does not finish the head of a request is left; while there is no room, new ones wait.
async fn accept(listener: TcpListener, router: Router, permits: Arc<Semaphore>, shutdown: CancellationToken) {
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_TIMEOUT)
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
            () = shutdown.cancelled() => break,
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
        // A WebSocket outlives the HTTP connection it began as, so the permit is held by the stream itself.
        let permit = (permit, telemetry::Open::connection());
        let stream = InspectReader::new(stream, move |_| _ = &permit);
        let first_request = CancellationToken::new();
        let seen = first_request.clone();
        let service = router.clone().map_request(move |mut request: axum::http::Request<_>| {
            seen.cancel();
            request.extensions_mut().insert(ConnectInfo(address));
            request
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
            }
        });
    }
    connections.shutdown().await;
}

async fn announce(app: &App, address: SocketAddr) -> Result<()> {
    println!("Marmalade serves on http://{address}");
    println!("  GraphQL    http://{address}/graphql    WebSocket ws://{address}/graphql/ws");
    println!("  GraphiQL   http://{address}/graphiql   for staff");
    if demo::is_present(app.db.read()).await? {
        println!("Demo accounts, all with the password {}:", demo::PASSWORD);
        for (email, who) in demo::ACCOUNTS {
            println!("  {email:<22} {who}");
        }
    }
    Ok(())
}
