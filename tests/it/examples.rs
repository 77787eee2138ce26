//! The examples do what they say, against a real server.

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../examples/fanout.rs"]
mod fanout;

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../examples/kill.rs"]
mod kill;

#[expect(dead_code, reason = "its main is for the command line")]
#[expect(
    clippy::duplicate_mod,
    reason = "each example brings along what it shares with others"
)]
#[path = "../../examples/load.rs"]
mod load;

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../examples/play.rs"]
mod play;

use std::net::SocketAddr;

use marmalade::{config::Config, http, id::QuizId, open};

use crate::on_both_databases;

on_both_databases! {
    async fn play_takes_a_quiz_and_sees_its_rank_move(app: TestApp) {
        let quiz: QuizId = app.quiz(4, |_| {}).await;
        app.student().await.take(quiz, 4).await;
        let server = format!("http://{}", app.listen().await);
        let mut story = Vec::new();
        play::play(&server, Some(quiz.encode()), |line| story.push(line)).await.expect("it plays");
        let includes = |what: &str| assert!(story.iter().any(|line| line.contains(what)), "{what}: {story:#?}");
        includes("not among the 1 ranked yet");
        includes("2.0 of 4.0 points, 2 right, 2 wrong");
        includes("rank 2 of 2 with 2.0 points");
        includes("CANARY explanation 1");
    }

    async fn a_killed_server_has_kept_its_word(app: TestApp) {
        let plan = kill::Plan {
            rounds: 3,
            students: 4,
            longest: 400,
            ground: kill::server::Ground {
                postgres: postgres_of(&app),
                redis: None,
                program: env!("CARGO_BIN_EXE_marmalade").into(),
            },
            servers: 1,
            faults: Vec::new(),
            seed: None,
        };
        let tally = kill::run(&plan, |_| {}).await.unwrap_or_else(|broken| panic!("{broken}"));
        assert_eq!(tally.rounds, 3);
        assert!(tally.saves >= 3, "{tally}");
    }

    async fn a_few_students_meet_no_error_under_load(app: TestApp) {
        let plan = load::Plan {
            students: 6,
            seconds: 5,
            seed: None,
            ground: load::server::Ground {
                postgres: postgres_of(&app),
                redis: None,
                program: env!("CARGO_BIN_EXE_marmalade").into(),
            },
        };
        let report = load::run(&plan, |_| {}).await.unwrap_or_else(|broken| panic!("{broken}"));
        assert_eq!(report.errors(), 0, "{report}");
        assert!(report.submits() >= 6, "{report}");
    }
}

/// The PostgreSQL server that a test runs on.
fn postgres_of(app: &crate::support::TestApp) -> Option<String> {
    app.is_postgres()
        .then(|| std::env::var("TEST_DATABASE_URL").expect("a server"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_keeps_the_word_of_a_killed_server() {
    let (Ok(postgres), Ok(redis)) = (std::env::var("TEST_DATABASE_URL"), std::env::var("TEST_REDIS_URL")) else {
        return;
    };
    let plan = kill::Plan {
        rounds: 2,
        students: 4,
        longest: 400,
        ground: kill::server::Ground {
            postgres: Some(postgres),
            redis: Some(redis),
            program: env!("CARGO_BIN_EXE_marmalade").into(),
        },
        servers: 2,
        faults: Vec::new(),
        seed: None,
    };
    let tally = kill::run(&plan, |_| {})
        .await
        .unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(tally.rounds, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_fanout_delivers_every_rank() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::default();
    config.site.data_dir = folder.path().to_owned();
    let app = open::open(config).await.unwrap_or_else(|_| panic!("an application"));
    let size = fanout::Size {
        listeners: 20,
        standings: 300,
        submits: 20,
        seconds: 1,
        emails: 0,
        server: None,
    };
    let fanout = fanout::Fanout::seed(&app, &size).await.expect("a fanout");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = http::router(app.clone())
        .ok()
        .expect("the routes")
        .into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let report = fanout
        .listen_and_submit(&app, address, None)
        .await
        .expect("they listen");
    assert_eq!((report.submits, report.wrong, report.missing), (20, 0, 0), "{report}");
}
