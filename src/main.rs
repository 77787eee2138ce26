//! The command line: reads the configuration, calls the library.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
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
    clock::{Clock, Moment, SystemClock},
    config::{self, Config},
    db::{self, Db},
    error::{Error, Result},
    export,
    id::QuizId,
    import, open,
    ops::{
        backup, content, copy,
        deploy::{self, Severity},
        indexes, smoke, verify,
    },
    quiz, serve,
    telemetry::{LogFormat, Traces},
};
use migration::{Migrator, MigratorTrait};
use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};
use url::Url;

/// What is freed goes back to the system; docs/dependencies.md has the figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Import questions from a file (XLSX, CSV, TSV, Aiken, GIFT, Moodle XML or JSON of an export) as a draft
    Import {
        #[command(flatten)]
        file: Box<import::File>,
        /// Write a file to begin a bank with to standard output, and import nothing
        #[arg(long, value_enum, exclusive = true)]
        template: Option<export::Format>,
    },
    /// Export a quiz with its answer key
    Export {
        /// The quiz
        quiz: String,
        /// The format of the file
        #[arg(long, value_enum)]
        format: export::Format,
        /// The revision; without it the one in force, or else the draft
        #[arg(long, value_enum)]
        revision: Option<export::Which>,
        /// The file; without it, standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List, show, begin, discard and restore drafts of quizzes
    Draft {
        #[command(subcommand)]
        action: quiz::command::Command,
    },
    /// List the quizzes, or take a step in the life of one
    Quiz(content::QuizCommand),
    /// List, name, merge, delete and restore subjects
    Subject {
        #[command(subcommand)]
        action: content::SubjectAction,
        #[command(flatten)]
        common: content::Common,
    },
    /// List, name, order, merge, delete and restore chapters
    Chapter {
        #[command(subcommand)]
        action: content::ChapterAction,
        #[command(flatten)]
        common: content::Common,
    },
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
    /// Test a running site over HTTP: sign in, take a quiz, see the board; what the test made is removed again
    Smoke {
        /// Where the site is served, with the database that is configured here; without it, LISTEN
        #[arg(long)]
        url: Option<Url>,
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
            if let Some(advice) = db::about_pooler(&error) {
                eprintln!("{advice}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, mut config: Config) -> Result<ExitCode> {
    match command {
        Command::Serve => serve::start(config, stop_signal()).await?,
        Command::Worker => serve::start_worker(config, stop_signal()).await?,
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
        Command::Import {
            template: Some(format), ..
        } => save(None, &export::template(format)?.content)?,
        Command::Export {
            quiz,
            format,
            revision,
            output,
        } => {
            let (quiz, app) = (QuizId::decode(&quiz)?, open::open_existing(config).await?);
            let file = export::export(&app, quiz, format, revision, None, &Cause::clock(&app.now())).await?;
            save(output.as_deref(), &file.content)?;
            seal_recorded(&app).await;
        }
        Command::Import { file, template: None } => {
            let file = file.read().await?;
            let app = open::open(config).await?;
            let report = import::run(&app, file, &Cause::clock(&app.now())).await?;
            print!("{report}");
            seal_recorded(&app).await;
            return Ok(if report.is_clean() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(3)
            });
        }
        Command::Draft { action } => {
            let app = open::open_existing(config).await?;
            let writes = action.writes();
            print!("{}", quiz::command::run(&app, action, &Cause::clock(&app.now())).await?);
            if writes {
                seal_recorded(&app).await;
            }
        }
        Command::Quiz(command) => {
            let app = open::open_existing(config).await?;
            print!("{}", content::of_quizzes(&app, command).await?);
            seal_recorded(&app).await;
        }
        Command::Subject { action, common } => {
            let app = open::open_existing(config).await?;
            print!("{}", content::of_subjects(&app, action, common).await?);
            seal_recorded(&app).await;
        }
        Command::Chapter { action, common } => {
            let app = open::open_existing(config).await?;
            print!("{}", content::of_chapters(&app, action, common).await?);
            seal_recorded(&app).await;
        }
        Command::User { action } => user(config, action).await?,
        Command::Audit { action } => audit(&open::open_existing(config).await?, action).await?,
        Command::Verify { head } => return prove(config, head.as_deref()).await,
        Command::Smoke { url } => {
            let url = url.map_or_else(|| served_at(&config), Ok)?;
            let db = open::check(&config).await?.ok_or_else(|| open::no_database(&config))?;
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let outcome = smoke::smoke(&db, &url, &Moment::of(&clock), |line| println!("{line}")).await;
            db.close().await?;
            outcome?;
        }
        Command::Check { deploy: false } => println!("the configuration can be used"),
        Command::Check { deploy: true } => {
            // Reported before the database is contacted, which may be down.
            let mut findings = deploy::of_config(&config);
            findings.iter().for_each(|finding| println!("{finding}"));
            let db = open::existing(&config).await?;
            let of_services = deploy::of_services(&config, db.as_ref()).await;
            if let Some(db) = db {
                db.close().await?;
            }
            let of_services = of_services?;
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

/// Writes what was asked for into a file, or to standard output.
fn save(file: Option<&Path>, content: &[u8]) -> Result<()> {
    use std::io::Write;

    let saved = match file {
        Some(file) => std::fs::write(file, content).map_err(|error| (file.display().to_string(), error)),
        None => std::io::stdout()
            .write_all(content)
            .map_err(|error| ("standard output".to_owned(), error)),
    };
    saved.map_err(|(place, error)| Error::BadInput(format!("{place}: {error}")))
}

/// Where a server of this configuration is reached from this machine.
fn served_at(config: &Config) -> Result<Url> {
    let mut address = config.server.listen;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Url::parse(&format!("http://{address}")).map_err(Error::internal)
}

/// Verifies, and compares the audit log with what `audit head` printed earlier.
async fn prove(config: Config, head: Option<&Path>) -> Result<ExitCode> {
    let head = head.map(read_head).transpose()?;
    let app = open::open_existing(config).await?;
    if let Some(fleet) = &app.fleet {
        fleet.join().await?;
    }
    let mut findings = verify::verify(&app).await?;
    if let Some(head) = head {
        findings.extend(seal::check_head(&app.db, &head).await?);
    }
    let indexes = indexes::of(&app.db).await?;
    println!("{} indexes:", indexes.len());
    indexes.values().for_each(|index| println!("  {index}"));
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
    if matches!(direction, Direction::Up) {
        open::open_database(config).await?;
        return Ok(());
    }
    let Some(db) = open::existing(config).await? else {
        return Err(open::no_database(config));
    };
    let outcome = match direction {
        Direction::Down { steps } => db.migrate_down(steps).await,
        Direction::Up | Direction::Status => print_status(&db).await,
    };
    db.close().await?;
    outcome
}

async fn print_status(db: &Db) -> Result<()> {
    for migration in Migrator::get_migration_with_status_read_only(db.write()).await? {
        println!("{:<40} {}", migration.name(), migration.status());
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

async fn user(config: Config, action: UserAction) -> Result<()> {
    match action {
        UserAction::Create { email, handle, role } => {
            let mut password = String::new();
            std::io::stdin().read_line(&mut password).map_err(Error::internal)?;
            let registration = Registration {
                email,
                handle,
                password: password.trim_end_matches(['\r', '\n']).to_owned(),
            };
            registration.check()?;
            // The first account may be made before the first start.
            let app = open::open(config).await?;
            let account = account::create(&app, registration, role.into(), &Cause::clock(&app.now())).await?;
            println!("{} is made", account.email);
            seal_recorded(&app).await;
        }
        UserAction::SetRole { email, role } => {
            let app = open::open_existing(config).await?;
            let id = people::with_email(app.db.read(), &email).await?;
            people::set_role(&app, id, role.into(), &Cause::clock(&app.now())).await?;
            println!("{email} has its new role");
            seal_recorded(&app).await;
        }
    }
    Ok(())
}

/// Completes on SIGTERM or Ctrl-C, also on one that comes before anybody waits for it.
fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    let mut signals = {
        use tokio::signal::unix::{SignalKind, signal};
        [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok())
    };
    async move {
        #[cfg(unix)]
        if let [Some(terminate), Some(interrupt)] = &mut signals {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            return;
        }
        // Without a signal to listen to there is nothing to wait for but the end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
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
