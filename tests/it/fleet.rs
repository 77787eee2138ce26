//! Several servers on one PostgreSQL and one Redis are one site, and each goes on without Redis.

use std::time::Duration;

use futures_util::{Stream, StreamExt, future::join_all};
use marmalade::{
    auth::role::Role,
    background::{self, relay},
    leaderboard::live::{self, Followed, Snapshot, Watched},
    limit::Limits,
    limit::Rate,
    ranks::{
        board::{Board, Scope, Span, Window},
        question::Question,
        tables,
    },
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Actor, TestApp,
    fleet::{Fleet, Member},
};

/// Nothing in a test takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

fn board(app: &TestApp) -> Board {
    Board {
        scope: Scope::Everything,
        window: Window::at(Span::AllTime, app.app.now().at, app.app.zone),
    }
}

fn stream(app: &TestApp, actor: &Actor) -> std::pin::Pin<Box<impl Stream<Item = Snapshot> + use<>>> {
    let followed = Followed::Concrete(board(app));
    let stream = live::follow(app.app.boards.clone(), followed, Watched::Student(actor.id()));
    Box::pin(stream.map(|snapshot| snapshot.unwrap_or_else(|_| panic!("a snapshot"))))
}

async fn next(stream: &mut (impl Stream<Item = Snapshot> + Unpin)) -> Snapshot {
    timeout(PATIENCE, stream.next())
        .await
        .expect("news")
        .expect("the stream goes on")
}

/// The rank that a stream tells next, of a board that is there.
async fn next_rank(stream: &mut (impl Stream<Item = Snapshot> + Unpin)) -> Option<u64> {
    loop {
        let snapshot = next(stream).await;
        if !snapshot.stale {
            return snapshot.rows.first().map(|row| row.entry.rank);
        }
    }
}

async fn rank(server: &Member, actor: &Actor) -> Value {
    server.app.at(actor).rank("ALL_TIME").await["rank"].take()
}

/// What the index says, if it is there.
async fn indexed(app: &TestApp, question: Question) -> Option<Vec<marmalade::ranks::index::RankedEntry>> {
    let answers = app.app.boards.ranks.ask(&app.app.db, board(app), &[question]).await;
    answers
        .and_then(|mut answers| answers.pop())
        .map(|answer| answer.entries)
}

/// Every server ranks as the tables do.
async fn agrees(fleet: &Fleet) {
    for Member { app, .. } in &fleet.servers {
        let question = Question::After(None, 100);
        let asked = [(board(app), question.clone())];
        let answers = tables::answers(app.app.db.read(), &asked).await;
        let mut answers = answers.unwrap_or_else(|_| panic!("answers"));
        let (expected, _) = answers.pop().expect("an answer");
        assert!(!expected.is_empty());
        assert_eq!(indexed(app, question).await, Some(expected));
        app.verify().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submit_at_one_server_moves_ranks_and_streams_at_another() {
    let Some(fleet) = Fleet::of(2).await else { return };
    let [here, there] = &fleet.servers[..] else {
        panic!("two")
    };
    let quiz = here.app.quiz(3, |_| {}).await;
    let (ada, bob) = (here.app.student().await, here.app.student().await);
    ada.take(quiz, 1).await;
    let mut rank_stream = stream(&there.app, &ada);
    assert_eq!(next_rank(&mut rank_stream).await, Some(1));
    bob.take(quiz, 2).await;
    assert_eq!(rank(there, &bob).await, 1, "at once");
    let passed = next(&mut rank_stream).await;
    assert_eq!(passed.rows.first().map(|row| row.entry.rank), Some(2));
    assert_eq!(passed.overtaken_by.first().map(|profile| profile.id), Some(bob.id()));
    there.app.at(&ada).take(here.app.quiz(5, |_| {}).await, 4).await;
    assert_eq!(
        (rank(here, &ada).await, next_rank(&mut rank_stream).await),
        (json!(1), Some(1))
    );
    agrees(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_submits_at_all_servers_make_one_board() {
    let Some(fleet) = Fleet::of(3).await else { return };
    let quiz = fleet.servers[0].app.quiz(4, |_| {}).await;
    let take = async |n: usize| {
        let app = &fleet.servers[n % 3].app;
        // The board is built while they submit.
        app.student().await.take(quiz, n % 5).await;
    };
    join_all((0..24).map(take)).await;
    agrees(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_over_all_servers() {
    let Some(fleet) = Fleet::of(2).await else { return };
    let limits = |config: &mut marmalade::config::Config| {
        config.limits = Limits {
            requests: Rate::new(20, Duration::from_secs(60)),
            ..Limits::default()
        }
    };
    let mut servers = Vec::new();
    for server in &fleet.servers {
        let app = server.app.restarted_with(limits).await;
        let shared = app.app.fleet.clone().expect("a fleet");
        tokio::spawn(background::keep_channel(app.app.clone()));
        shared.until(marmalade::fleet::Health::Connected).await;
        servers.push(app);
    }
    let ada = servers[0].student().await;
    let mut papers = Vec::new();
    for _ in 0..3 {
        papers.push(ada.start(servers[0].quiz(1, |_| {}).await).await);
    }
    let paper = papers.pop().expect("a paper");
    let code = |(_, body): (_, Value)| body["errors"][0]["extensions"]["code"].clone();
    let submit = "mutation($id: ID!, $key: IdempotencyKey!) { submitAttempt(input: {attemptId: $id, idempotencyKey: $key}) { errors { code } } }";
    let left = "{ rateLimit { submits { remaining } starts { remaining } requests { remaining } } }";
    assert_eq!(
        servers[1].at(&ada).ask(left, json!({})).await["rateLimit"]["starts"]["remaining"],
        7
    );
    // Two submits in any minute, wherever: the third is refused at either server.
    for (server, paper) in servers.iter().zip(&papers) {
        let submitted = server.at(&ada).submit(paper, "a key of sixteen or more").await;
        assert_eq!(submitted["errors"], json!([]));
    }
    for server in &servers {
        let refused = server
            .at(&ada)
            .send(submit, json!({"id": paper.attempt, "key": "a key of sixteen or more"}))
            .await;
        assert_eq!(code(refused), "RATE_LIMITED");
    }
    let seen = servers[0].at(&ada).ask(left, json!({})).await;
    assert_eq!(seen["rateLimit"]["submits"]["remaining"], 0);
    assert_eq!(seen["rateLimit"]["requests"]["remaining"], 20 - 9);
    for n in 0..11 {
        assert_eq!(servers[n % 2].at(&ada).send(left, json!({})).await.0, 200);
    }
    assert_eq!(servers[1].at(&ada).send(left, json!({})).await.0, 429);
    assert_eq!(servers[0].at(&ada).send(left, json!({})).await.0, 429);
    // They come back one by one, and a window's uses when it is over.
    servers[0].advance(Duration::from_secs(3));
    assert_eq!(servers[1].at(&ada).send(left, json!({})).await.0, 200);
    assert_eq!(servers[0].at(&ada).send(left, json!({})).await.0, 429);
    servers[0].advance(Duration::from_secs(57));
    let submitted = servers[1].at(&ada).submit(&paper, "a key of sixteen or more").await;
    assert_eq!(submitted["errors"], json!([]));
    // A replay is given back.
    let before = servers[0].at(&ada).ask(left, json!({})).await["rateLimit"]["submits"]["remaining"].clone();
    servers[0].at(&ada).submit(&paper, "a key of sixteen or more").await;
    assert_eq!(
        servers[1].at(&ada).ask(left, json!({})).await["rateLimit"]["submits"]["remaining"],
        before
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_whose_clocks_differ_refuse_nobody_for_the_difference() {
    let minute = Duration::from_secs(60);
    let limits = |config: &mut marmalade::config::Config| {
        config.limits = Limits {
            requests: Rate::new(20, minute),
            submits: Rate::new(3, minute),
            ..Limits::default()
        }
    };
    let Some(fleet) = Fleet::with(&[minute, Duration::ZERO], limits).await else {
        return;
    };
    let [ahead, behind] = [&fleet.servers[0].app, &fleet.servers[1].app];
    let ada = behind.student().await;
    ahead.at(&ada).ask("{ __typename }", json!({})).await;
    let mut papers = Vec::new();
    for _ in 0..4 {
        papers.push(ada.start(behind.quiz(1, |_| {}).await).await);
    }
    let submit = async |server: &TestApp, n: usize| {
        let query = "mutation($id: ID!) { submitAttempt(input: {attemptId: $id, idempotencyKey: \"a key of sixteen or more\"}) { errors { code } } }";
        let (status, body) = server.at(&ada).send(query, json!({"id": papers[n].attempt})).await;
        (status.as_u16(), body["errors"][0]["extensions"]["retryAfter"].as_u64())
    };
    // Three a minute over both; and who is refused is not told to wait for longer than a minute.
    for (server, n) in [(ahead, 0), (behind, 1), (ahead, 2)] {
        assert_eq!(submit(server, n).await.0, 200);
    }
    for server in [behind, ahead] {
        assert_eq!(submit(server, 3).await, (429, Some(60)));
    }
    // Ten requests are left.
    for n in 0..10 {
        let server = if n % 3 == 0 { ahead } else { behind };
        assert_eq!(server.at(&ada).send("{ __typename }", json!({})).await.0, 200, "{n}");
    }
    for server in [ahead, behind] {
        assert_eq!(server.at(&ada).send("{ __typename }", json!({})).await.0, 429);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_at_one_server_ends_at_all() {
    let Some(fleet) = Fleet::of(2).await else { return };
    let [here, there] = &fleet.servers[..] else {
        panic!("two")
    };
    let (ada, admin) = (here.app.student().await, here.app.actor(Role::Admin).await);
    let viewer = there.app.at(&ada).let_in().await.expect("let in");
    let open = there.app.app.revocations.end_of(&viewer);
    let suspend =
        "mutation($id: ID!) { suspendUser(input: {userId: $id, reason: \"shares answers\"}) { errors { code } } }";
    admin.ask(suspend, json!({"id": ada.id().encode()})).await;
    timeout(Duration::from_secs(1), open.cancelled())
        .await
        .expect("the stream ends within a second");
    assert!(there.app.at(&ada).let_in().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_redis_is_right_on_its_own_and_catches_up() {
    let Some(fleet) = Fleet::of(2).await else { return };
    let [here, there] = &fleet.servers[..] else {
        panic!("two")
    };
    let quiz = here.app.quiz(4, |_| {}).await;
    let (ada, bob, cyd) = (
        here.app.student().await,
        here.app.student().await,
        here.app.register("cyd").await,
    );
    ada.take(quiz, 1).await;
    let mut rank_stream = stream(&there.app, &ada);
    assert_eq!(next_rank(&mut rank_stream).await, Some(1));
    let (statements, viewer) = there.app.statements(there.app.at(&cyd).let_in()).await;
    assert!(viewer.is_some() && statements == 0);

    there.lose_redis().await;
    assert!(next(&mut rank_stream).await.stale, "said once");
    bob.take(quiz, 2).await;
    assert_eq!(rank(there, &ada).await, 2, "by the tables");
    assert_eq!(indexed(&there.app, Question::After(None, 1)).await, None);
    // A session that ends elsewhere is noticed by looking it up.
    let (statements, viewer) = there.app.statements(there.app.at(&cyd).let_in()).await;
    assert!(viewer.is_some() && statements == 1);
    cyd.ask("mutation { signOut { errors { code } } }", json!({})).await;
    assert!(there.app.at(&cyd).let_in().await.is_none());
    // What is submitted there is on no shared board yet, but in the outbox.
    there.app.at(&ada).take(here.app.quiz(5, |_| {}).await, 3).await;
    assert_eq!(rank(there, &ada).await, 1);
    while relay::relay(&here.app.app).await.unwrap_or_else(|_| panic!("relays")) > 0 {}
    assert_eq!(rank(here, &ada).await, 1, "the other server has delivered it");

    // This one nobody delivers until the server itself is back.
    there.app.at(&bob).take(here.app.quiz(5, |_| {}).await, 5).await;
    there.find_redis().await;
    assert_eq!(next_rank(&mut rank_stream).await, Some(2), "and goes on");
    agrees(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boards_come_back_when_redis_has_forgotten_them() {
    let Some(fleet) = Fleet::of(2).await else { return };
    let quiz = fleet.servers[0].app.quiz(4, |_| {}).await;
    let (ada, bob) = (
        fleet.servers[0].app.student().await,
        fleet.servers[1].app.student().await,
    );
    ada.take(quiz, 1).await;
    let mut rank_stream = stream(&fleet.servers[1].app, &ada);
    assert_eq!(next_rank(&mut rank_stream).await, Some(1));
    fleet.forget().await;
    bob.take(quiz, 2).await;
    assert_eq!(rank(&fleet.servers[1], &ada).await, 2);
    assert_eq!(next_rank(&mut rank_stream).await, Some(2));
    agrees(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_a_board_that_redis_has_otherwise() {
    let Some(fleet) = Fleet::of(1).await else { return };
    let app = &fleet.servers[0].app;
    let ada = app.student().await;
    ada.take(app.quiz(2, |_| {}).await, 1).await;
    ada.rank("ALL_TIME").await;
    app.verify().await;
    fleet.spoil_a_board().await;
    let findings = marmalade::ops::verify::verify(&app.app)
        .await
        .unwrap_or_else(|_| panic!("verify runs"));
    assert!(
        findings.len() == 1 && findings[0].contains("the index of board"),
        "{findings:?}"
    );
}
