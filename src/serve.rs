//! Starting and stopping: from a configuration to a server that answers.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::{
    app::App,
    auth::token,
    clock::{Clock, Moment, SystemClock},
    config::{Config, Mode, Secret},
    db::Db,
    demo,
    deploy::{self, Severity},
    error::{Error, Result},
    http,
};

/// How long requests that are under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Opens the configured database; its schema is brought up to date.
pub async fn open_database(config: &Config) -> Result<Db> {
    let db = connect(config).await?;
    db.migrate().await?;
    Ok(db)
}

/// Opens the configured database as it is.
pub async fn connect(config: &Config) -> Result<Db> {
    Ok(match &config.database_url {
        Some(Secret(url)) => Db::postgres(url, config.database_connections).await?,
        None => {
            make_private(&config.data_dir)?;
            Db::sqlite(&config.data_dir.join("marmalade.db"), config.sqlite_synchronous).await?
        }
    })
}

/// Makes a folder that only this account of the machine can enter; one that is there stays as it is.
pub fn make_private(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(Error::internal)
}

/// Puts the application together over the configured database.
pub async fn open(config: Config) -> Result<App> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let db = open_database(&config).await?;
    let secrets = secrets(&config, &Moment::of(&clock))?;
    App::new(config, &secrets, db, clock).await
}

/// The configured secrets, or the one of the data folder, generated at the first start.
fn secrets(config: &Config, now: &Moment) -> Result<Vec<Secret<String>>> {
    if !config.secrets.is_empty() {
        return Ok(config.secrets.clone());
    }
    make_private(&config.data_dir)?;
    let file = config.data_dir.join("secret");
    let secret = token::secret_of_file(&file, now.random());
    secret
        .map(|secret| vec![secret])
        .map_err(|error| Error::internal(format!("{}: {error}", file.display())))
}

/// Serves until `stop` is done: then no new connections are taken, requests under way are finished, and streams are
/// told to come back.
pub async fn serve(app: App, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    if app.config.mode == Mode::Production {
        must_be_safe(&app).await?;
    }
    let only = app.db.only_server().await?;
    if app.config.demo && demo::fill_if_empty(&app).await? {
        tracing::info!("the empty database was filled with demo content");
    }
    let listener = TcpListener::bind(app.config.listen)
        .await
        .map_err(|error| Error::internal(format!("{}: {error}", app.config.listen)))?;
    let address = listener.local_addr().map_err(Error::internal)?;
    announce(&app, address).await?;

    let tasks = TaskTracker::new();
    app.run_in_background(&tasks);
    let shutdown = app.shutdown.clone();
    let service = http::router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        tracing::info!("stopping");
        shutdown.cancel();
    });
    let deadline = async {
        app.shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served.map_err(Error::internal)?,
        () = deadline => tracing::warn!("some requests were not finished in time"),
    }
    tasks.close();
    tasks.wait().await;
    // The database closes when all its connections are back, and this holds one.
    drop(only);
    app.db.close().await?;
    Ok(())
}

/// What `marmalade check --deploy` finds: warnings are logged, with an error nothing is served.
async fn must_be_safe(app: &App) -> Result<()> {
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
        "production mode does not serve this:\n{list}Mend it, or set MARMALADE_MODE=development to try things out."
    )))
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
