//! The command line: reads the configuration, calls the library.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use marmalade::{
    account::{self, Registration, people},
    api::schema,
    app::App,
    audit::seal,
    auth::role::Role,
    change::Cause,
    config::{self, Config},
    error::{Error, Result},
    import, open,
    ops::{
        backup, copy,
        deploy::{self, Severity},
        verify,
    },
    serve,
    telemetry::{LogFormat, Traces},
};
use migration::{Migrator, MigratorTrait};
use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// The backend of an exam-preparation site.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API (the default)
    Serve,
    /// Do jobs, and serve nothing: for servers that run with MARMALADE_WORK=false
    Worker,
    /// Migrate the database's schema, or show its status
    Migrate {
        #[command(subcommand)]
        direction: Direction,
    },
    /// Print the GraphQL schema
    Schema,
    /// Print every key of the configuration
    Config,
    /// Import questions from a spreadsheet (XLSX or CSV) as a draft
    Import(import::File),
    /// Make accounts and change roles
    User {
        #[command(subcommand)]
        action: UserAction,
    },
    /// Check that the configuration is valid; with --deploy also list what is unsafe
    Check {
        /// Look for all that is unsafe in production, in the database too; an error ends with status 1
        #[arg(long)]
        deploy: bool,
    },
    /// Write a backup into a new file; the server may keep serving
    Backup { file: PathBuf },
    /// Bring a backup into the configured database, which must be empty, and verify it
    Restore { file: PathBuf },
    /// Copy an embedded database into the PostgreSQL of DATABASE_URL, and verify it; again, it copies what has changed
    Copy {
        /// The embedded database; without it, the one in the data folder
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// The audit log
    Audit {
        #[command(subcommand)]
        action: AuditAction,
    },
    /// Prove that the audit log is whole, and that standings, roll-ups and indexes agree with what they are made of
    Verify {
        /// Earlier output of `audit head`; the log must still contain it
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum Direction {
    /// Apply what is missing
    Up,
    /// Undo the newest migrations
    Down {
        /// Number of migrations
        #[arg(default_value_t = 1)]
        steps: u32,
    },
    /// List migrations, applied and missing
    Status,
}

#[derive(Subcommand)]
enum AuditAction {
    /// Seal what is not sealed yet and print the end of the log, to be kept elsewhere
    Head,
    /// Accept the log as it is, with all that `verify` finds wrong with it; an entry says so
    Accept {
        /// Why, 3 to 500 characters, for the log
        #[arg(long)]
        reason: String,
    },
}

#[derive(Subcommand)]
enum UserAction {
    /// Make an account; the password is read from standard input
    Create {
        #[arg(long)]
        email: String,
        #[arg(long)]
        handle: String,
        #[arg(long, value_enum, default_value_t = RoleName::Student)]
        role: RoleName,
    },
    /// Give an account another role; it takes effect at once on a running server
    SetRole {
        email: String,
        #[arg(value_enum)]
        role: RoleName,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    Student,
    Editor,
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Student => Self::Student,
            RoleName::Editor => Self::Editor,
            RoleName::Admin => Self::Admin,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut config = match Config::load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("The configuration can't be used.\n{error}");
            return ExitCode::from(2);
        }
    };
    let _traces = match log_as(&config) {
        Ok(traces) => traces,
        Err(error) => {
            eprintln!("Traces can't be sent.\n{}", error.describe());
            return ExitCode::from(2);
        }
    };
    let command = arguments.command.unwrap_or(Command::Serve);
    if !matches!(command, Command::Serve | Command::Worker | Command::Check { .. }) {
        // Proving or changing a whole site takes as long as it takes.
        config.database.statement_timeout = Duration::ZERO;
    }
    match run(command, config).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", error.describe());
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, mut config: Config) -> Result<ExitCode> {
    match command {
        Command::Serve => serve::serve(open::open(config).await?, stop_signal()).await?,
        Command::Worker => serve::work(open::open(config).await?, stop_signal()).await?,
        Command::Migrate { direction } => migrate(&config, direction).await?,
        Command::Schema => print!("{}", schema::sdl()),
        Command::Config => {
            for config::Key { name, doc, default, .. } in config::keys() {
                println!(
                    "{name}\n    {doc}\n    default: {}",
                    default.as_deref().unwrap_or("none")
                );
            }
        }
        Command::Import(file) => {
            let app = open::open(config).await?;
            let report = import::run(&app, &file, &Cause::clock(&app.now())).await?;
            print!("{report}");
            seal_recorded(&app).await;
            return Ok(if report.is_clean() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(3)
            });
        }
        Command::User { action } => user(&open::open(config).await?, action).await?,
        Command::Audit { action } => audit(&open::open(config).await?, action).await?,
        Command::Verify { head } => return prove(config, head.as_deref()).await,
        Command::Check { deploy: false } => println!("the configuration can be used"),
        Command::Check { deploy: true } => {
            // Reported before the database is contacted, which may be down.
            let mut findings = deploy::of_config(&config);
            findings.iter().for_each(|finding| println!("{finding}"));
            let of_services = deploy::of_services(&config, &open::connect(&config).await?).await?;
            of_services.iter().for_each(|finding| println!("{finding}"));
            findings.extend(of_services);
            if findings.iter().any(|finding| finding.severity == Severity::Error) {
                return Ok(ExitCode::FAILURE);
            }
            println!("nothing is unsafe for production");
        }
        Command::Backup { file } => {
            backup::backup(&config, &file).await?;
            println!("{} is written", file.display());
        }
        Command::Restore { file } => {
            backup::restore(&config, &file).await?;
            println!("{} is restored", file.display());
            if config.redis.url.take().is_some() {
                println!("{}", backup::ABOUT_REDIS);
            }
            return prove(config, None).await;
        }
        Command::Copy { from } => {
            for table in copy::copy(&config, from.as_deref()).await? {
                println!("{table}");
            }
            println!("{}", copy::ABOUT_SECRETS);
            return prove(config, None).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Verifies, and compares the audit log with what `audit head` printed earlier.
async fn prove(config: Config, head: Option<&Path>) -> Result<ExitCode> {
    let head = head.map(read_head).transpose()?;
    let app = open::open(config).await?;
    if let Some(fleet) = &app.fleet {
        fleet.join().await?;
    }
    let mut findings = verify::verify(&app).await?;
    if let Some(head) = head {
        findings.extend(seal::check_head(&app.db, &head).await?);
    }
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        println!("{} findings", findings.len());
        return Ok(ExitCode::FAILURE);
    }
    let entries = seal::head(&app.db).await?.map_or(0, |head| head.sequence);
    println!("the audit log is whole, {entries} entries; standings, roll-ups and indexes agree with the attempts");
    Ok(ExitCode::SUCCESS)
}

async fn migrate(config: &Config, direction: Direction) -> Result<()> {
    let db = open::connect(config).await?;
    match direction {
        Direction::Up => db.migrate().await?,
        Direction::Down { steps } => Migrator::down(db.write(), Some(steps)).await?,
        Direction::Status => {
            for migration in Migrator::get_migration_with_status(db.write()).await? {
                println!("{:<40} {}", migration.name(), migration.status());
            }
        }
    }
    Ok(())
}

async fn audit(app: &App, action: AuditAction) -> Result<()> {
    if let AuditAction::Accept { reason } = action {
        let cause = Cause::clock(&app.now());
        let accepted = seal::accept(&app.db, &app.keys, &cause.source, &reason, &cause.now).await?;
        for finding in &accepted {
            println!("accepted: {finding}");
        }
        println!("{} findings are accepted; the log now ends with:", accepted.len());
    }
    seal_all(app).await?;
    let head = seal::head(&app.db).await?;
    let head = head.ok_or_else(|| Error::BadInput("Nothing has been recorded yet.".into()))?;
    println!("{}", serde_json::to_string(&head).map_err(Error::internal)?);
    Ok(())
}

/// Seals what this command has recorded: there may be no server for long. That it can't undoes nothing.
async fn seal_recorded(app: &App) {
    if let Err(error) = seal_all(app).await {
        eprintln!("{}", error.describe());
    }
}

async fn seal_all(app: &App) -> Result<()> {
    let refused = seal::seal(&app.db, &app.keys).await?.refused;
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Error::BadInput(format!(
            "The audit log can't be sealed.\n{}",
            refused.join("\n")
        ))),
    }
}

fn read_head(file: &Path) -> Result<seal::Head> {
    let unusable = |error: String| {
        Error::BadInput(format!(
            "{}: {error}. Expected what `audit head` prints.",
            file.display()
        ))
    };
    let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))
}

async fn user(app: &App, action: UserAction) -> Result<()> {
    match action {
        UserAction::Create { email, handle, role } => {
            let mut password = String::new();
            std::io::stdin().read_line(&mut password).map_err(Error::internal)?;
            let registration = Registration {
                email,
                handle,
                password: password.trim_end_matches(['\r', '\n']).to_owned(),
            };
            let account = account::create(app, registration, role.into(), &Cause::clock(&app.now())).await?;
            println!("{} is made", account.email);
        }
        UserAction::SetRole { email, role } => {
            let id = people::with_email(app.db.read(), &email).await?;
            people::set_role(app, id, role.into(), &Cause::clock(&app.now())).await?;
            println!("{email} has its new role");
        }
    }
    seal_recorded(app).await;
    Ok(())
}

/// Completes on SIGTERM or Ctrl-C.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // Without a signal to listen to there is nothing to wait for but the end.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Begins to log, and to send traces if a collector is named.
fn log_as(config: &Config) -> Result<Option<Traces>> {
    let filter = EnvFilter::try_new(&config.telemetry.log).unwrap_or_else(|error| {
        eprintln!("MARMALADE_LOG: {error}; using info");
        EnvFilter::new("info")
    });
    let traces = Traces::configured()?;
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = match config.telemetry.log_format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(log.with_filter(filter))
        .with(
            traces
                .as_ref()
                .map(|traces| traces.layer().with_filter(LevelFilter::INFO)),
        )
        .init();
    Ok(traces)
}
