//! What uses up a limit, and what does not: a use is what takes effect. Whatever is resumed, repeated or refused for
//! another reason costs nothing, and passes also when nothing is left.

use std::{collections::BTreeMap, time::Duration};

use base64::Engine;
use futures_util::future::join_all;
use marmalade::{
    auth::role::Role,
    background,
    fleet::Health,
    id::{AttemptId, QuizId},
    limit::{Limit, Limits, Rate},
};
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, PIXEL, Paper, TestApp, fleet::Fleet},
};

const START: &str =
    "mutation($id: ID!) { startAttempt(input: {quizId: $id}) { attempt { id } resumed errors { code } } }";
const SUBMIT: &str =
    "mutation($id: ID!, $key: IdempotencyKey!) { submitAttempt(input: {attemptId: $id, idempotencyKey: $key}) {
    attempt { id } errors { code } } }";
const SAVE: &str = "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) { outcome errors { code } } }";
const BATCH: &str =
    "mutation($input: SaveAnswersInput!) { saveAnswers(input: $input) { results { outcome } errors { code } } }";
const EXPORT: &str = "{ accountExport }";
const IMPORT: &str =
    "mutation($file: String!, $content: String!, $title: String!) { importBank(input: {fileName: $file,
    content: $content, quizTitle: $title, subject: \"Physics\"}) { bankImport { id } errors { code } } }";
const PICTURE: &str =
    "mutation($content: String!, $alt: String!) { uploadPicture(input: {content: $content, altText: $alt,
    reason: \"For a question.\"}) { picture { id } errors { code } } }";
const REGISTER: &str = "mutation($input: RegisterInput!) { register(input: $input) { errors { code } } }";
const RESET: &str =
    "mutation($email: EmailAddress!) { requestPasswordReset(input: {email: $email}) { errors { code } } }";
const EMAIL: &str = "mutation($email: EmailAddress!, $password: Password!) {
    requestEmailChange(input: {email: $email, password: $password}) { errors { code } } }";

/// Uses at once, where three are allowed.
const MANY: usize = 12;

/// A request, and what is answered to it: a code, an outcome, or `OK`.
struct Try {
    by: Actor,
    query: &'static str,
    variables: Value,
    expected: &'static str,
}

impl Try {
    async fn answer(&self) -> String {
        let (_, body) = self.by.send(self.query, self.variables.clone()).await;
        answer(&body)
    }
}

fn answer(body: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let payload = body["data"]
        .as_object()
        .and_then(|data| data.values().next())
        .unwrap_or(&Value::Null);
    let batch = payload["results"].as_array().into_iter().flatten();
    let mut batch: Vec<_> = batch.filter_map(|result| text(&result["outcome"])).collect();
    batch.dedup();
    text(&body["errors"][0]["extensions"]["code"])
        .or_else(|| text(&payload["errors"][0]["code"]))
        .or_else(|| text(&payload["outcome"]))
        .or_else(|| (!batch.is_empty()).then(|| batch.join(" ")))
        .or_else(|| (payload["resumed"] == true).then(|| "RESUMED".to_owned()))
        .unwrap_or_else(|| "OK".to_owned())
}

/// What costs nothing, what is one use each, and the same again as the first of them.
struct Case {
    free: Vec<Try>,
    uses: Vec<Try>,
    again: Option<Try>,
    /// Its field of `rateLimit`, if students see it.
    shown: Option<&'static str>,
}

fn save(paper: &Paper, question: usize, choice: &str, seq: i64) -> Value {
    json!({"input": {"attemptId": paper.attempt, "questionId": paper.questions[question].0, "choiceId": choice, "seq": seq}})
}

fn batch(paper: &Paper, saves: &[(usize, &str, i64)]) -> Value {
    let answers: Vec<_> = saves
        .iter()
        .map(|(question, choice, seq)| json!({"questionId": paper.questions[*question].0, "choiceId": choice, "seq": seq}))
        .collect();
    json!({"input": {"attemptId": paper.attempt, "answers": answers}})
}

/// The case of a limit. A new limit does not compile without one.
async fn case(app: &TestApp, limit: Limit) -> Option<Case> {
    let ada = app.register("ada").await;
    let by = |actor: &Actor, query, variables, expected| Try {
        by: actor.clone(),
        query,
        variables,
        expected,
    };
    let of_ada = |query, variables, expected| by(&ada, query, variables, expected);
    let hour = Duration::from_secs(3600);
    let (no_quiz, no_attempt) = (
        QuizId(uuid::Uuid::now_v7()).encode(),
        AttemptId(uuid::Uuid::now_v7()).encode(),
    );
    Some(match limit {
        // A request is a use, whatever comes of it.
        Limit::Request => return None,
        // These are about who is not signed in: see neighbours.rs.
        Limit::SignInFailure
        | Limit::SignInFailureOfAddress
        | Limit::SignInFailureOfAccount
        | Limit::SlowedSignInOfAddress
        | Limit::SlowedSignInOfAccount
        | Limit::SlowedRegister
        | Limit::SlowedEmailOfAddress => return None,
        Limit::Start => {
            let now = app.app.now().at;
            let early = app.quiz(1, |quiz| quiz.opens_at = Some(now + hour)).await;
            let closed = app.quiz(1, |quiz| quiz.closes_at = Some(now + hour / 2)).await;
            let once = app.quiz(1, |quiz| quiz.max_attempts = Some(1)).await;
            let rare = app.quiz(1, |quiz| quiz.cooldown = 24 * hour).await;
            ada.take(once, 1).await;
            ada.take(rare, 1).await;
            app.advance(hour / 2);
            let draft = app.draft(1, |_| {}).await;
            let open = app.quiz(1, |_| {}).await;
            ada.start(open).await;
            let mut quizzes = Vec::new();
            for _ in 0..MANY {
                quizzes.push(app.quiz(1, |_| {}).await.encode());
            }
            let free = [
                (no_quiz, "NOT_FOUND"),
                ("nonsense".into(), "NOT_FOUND"),
                (draft.encode(), "NOT_FOUND"),
                (early.encode(), "QUIZ_NOT_OPEN"),
                (closed.encode(), "QUIZ_NOT_OPEN"),
                (once.encode(), "ATTEMPTS_EXHAUSTED"),
                (rare.encode(), "COOLDOWN"),
                (open.encode(), "RESUMED"),
            ];
            Case {
                free: free
                    .into_iter()
                    .map(|(id, expected)| of_ada(START, json!({"id": id}), expected))
                    .collect(),
                again: Some(of_ada(START, json!({"id": quizzes[0]}), "RESUMED")),
                uses: quizzes
                    .into_iter()
                    .map(|id| of_ada(START, json!({"id": id}), "OK"))
                    .collect(),
                shown: Some("starts"),
            }
        }
        Limit::Submit => {
            let bob = app.student().await;
            let quiz = app.quiz(1, |_| {}).await;
            let submitted = ada.take(quiz, 1).await.attempt;
            let short = app.quiz(1, |quiz| quiz.duration = Duration::from_secs(60)).await;
            let ran_out = ada.start(short).await.attempt;
            app.advance(Duration::from_secs(64));
            let of_bob = bob.start(quiz).await.attempt;
            let mut open = Vec::new();
            for _ in 0..MANY {
                open.push(ada.start(app.quiz(1, |_| {}).await).await.attempt);
            }
            let submit = |id: &str, key: &str| json!({"id": id, "key": key});
            let free = [
                (no_attempt, "the one key", "NOT_FOUND"),
                (of_bob, "the one key", "NOT_FOUND"),
                (open[0].clone(), "short", "BAD_USER_INPUT"),
                (submitted.clone(), "the one key", "OK"),
                (submitted, "another key", "ATTEMPT_ALREADY_SUBMITTED"),
                (ran_out, "the one key", "OK"),
            ];
            Case {
                free: free
                    .into_iter()
                    .map(|(id, key, expected)| of_ada(SUBMIT, submit(&id, key), expected))
                    .collect(),
                again: Some(of_ada(SUBMIT, submit(&open[0], "the one key"), "OK")),
                uses: open
                    .iter()
                    .map(|id| of_ada(SUBMIT, submit(id, "the one key"), "OK"))
                    .collect(),
                shown: Some("submits"),
            }
        }
        Limit::Answer | Limit::Batch => {
            let bob = app.student().await;
            let quiz = app.quiz(MANY + 1, |_| {}).await;
            let submitted = ada.take(app.quiz(1, |_| {}).await, 1).await;
            let short = app.quiz(1, |quiz| quiz.duration = Duration::from_secs(60)).await;
            let ran_out = ada.start(short).await;
            app.advance(Duration::from_secs(64));
            let (paper, of_bob) = (ada.start(quiz).await, bob.start(quiz).await);
            ada.save(&paper, MANY, 0, 5).await;
            let choice = |paper: &Paper, question: usize| paper.questions[question].1[0].clone();
            let (first, last) = (choice(&paper, 0), choice(&paper, MANY));
            let nobodys = Paper {
                attempt: no_attempt,
                ..paper.clone()
            };
            let foreign = Paper {
                attempt: paper.attempt.clone(),
                ..submitted.clone()
            };
            let of = |paper: &Paper, question: usize, choice: &str, seq: i64, expected| match limit {
                Limit::Answer => of_ada(SAVE, save(paper, question, choice, seq), expected),
                _ => of_ada(BATCH, batch(paper, &[(question, choice, seq)]), expected),
            };
            let mut free = vec![
                of(&nobodys, 0, &first, 1, "NOT_FOUND"),
                of(&of_bob, 0, &first, 1, "NOT_FOUND"),
                of(&paper, MANY, &first, 6, "NOT_FOUND"),
                of(&foreign, 0, &choice(&submitted, 0), 1, "NOT_FOUND"),
                of(&paper, MANY, &last, 5, "STALE"),
                of(&paper, MANY, &last, 4, "STALE"),
                of(&paper, MANY, &last, 0, "BAD_USER_INPUT"),
                of(&submitted, 0, &choice(&submitted, 0), 2, "ATTEMPT_ALREADY_SUBMITTED"),
                of(&ran_out, 0, &choice(&ran_out, 0), 1, "ATTEMPT_EXPIRED"),
            ];
            if limit == Limit::Batch {
                free.push(of_ada(BATCH, batch(&paper, &[]), "BAD_USER_INPUT"));
                free.push(of_ada(
                    BATCH,
                    batch(&paper, &[(MANY, &last, 3), (MANY, &first, 6)]),
                    "STALE NOT_FOUND",
                ));
            }
            Case {
                free,
                again: Some(of(&paper, 0, &first, 1, "STALE")),
                uses: (0..MANY)
                    .map(|question| of(&paper, question, &choice(&paper, question), 1, "SAVED"))
                    .collect(),
                shown: Some(if limit == Limit::Answer { "answers" } else { "batches" }),
            }
        }
        Limit::Export => Case {
            free: Vec::new(),
            again: None,
            uses: (0..MANY).map(|_| of_ada(EXPORT, json!({}), "OK")).collect(),
            shown: Some("exports"),
        },
        Limit::Import => {
            let editor = app.actor(Role::Editor).await;
            let encoded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
            let (bank, large) = (
                encoded(b"Question,A,B,Answer\nOne?,1,2,1\n"),
                encoded(&[b'x'; 700 * 1024 + 1]),
            );
            let import = |file: &str, content: &str, title: &str, expected| {
                by(
                    &editor,
                    IMPORT,
                    json!({"file": file, "content": content, "title": title}),
                    expected,
                )
            };
            Case {
                free: vec![
                    import("bank.csv", "?", "Bank", "BAD_USER_INPUT"),
                    import("bank.csv", "", "Bank", "BAD_USER_INPUT"),
                    import("bank.csv", &large, "Bank", "BAD_USER_INPUT"),
                    import("bank.pdf", &bank, "Bank", "BAD_USER_INPUT"),
                    import(
                        "bank.xls",
                        &encoded(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"),
                        "Bank",
                        "BAD_USER_INPUT",
                    ),
                    import("bank.csv", &bank, " ", "BAD_USER_INPUT"),
                    by(
                        &ada,
                        IMPORT,
                        json!({"file": "bank.csv", "content": bank, "title": "Bank"}),
                        "FORBIDDEN",
                    ),
                ],
                again: None,
                uses: (0..MANY)
                    .map(|n| import("bank.csv", &bank, &format!("Bank {n}"), "OK"))
                    .collect(),
                shown: None,
            }
        }
        Limit::Picture => {
            let editor = app.actor(Role::Editor).await;
            let upload = |content: &str, alt: &str, expected| {
                by(&editor, PICTURE, json!({"content": content, "alt": alt}), expected)
            };
            let svg = base64::engine::general_purpose::STANDARD.encode("<svg xmlns='http://www.w3.org/2000/svg'/>");
            Case {
                free: vec![
                    upload("?", "A pixel", "BAD_USER_INPUT"),
                    upload("", "A pixel", "BAD_USER_INPUT"),
                    upload(&svg, "A pixel", "BAD_USER_INPUT"),
                    upload(PIXEL, " ", "BAD_USER_INPUT"),
                    by(&ada, PICTURE, json!({"content": PIXEL, "alt": "A pixel"}), "FORBIDDEN"),
                ],
                again: None,
                uses: (0..MANY).map(|_| upload(PIXEL, "A pixel", "OK")).collect(),
                shown: None,
            }
        }
        Limit::Register => {
            let register = |email: &str, handle: &str, password: &str, expected| {
                let input = json!({"email": email, "handle": handle, "password": password, "client": "NATIVE"});
                by(&app.anyone(), REGISTER, json!({"input": input}), expected)
            };
            Case {
                free: vec![
                    register("no address", "newcomer", "correct horse", "BAD_USER_INPUT"),
                    register("new@example.com", "a b", "correct horse", "BAD_USER_INPUT"),
                    register("new@example.com", "newcomer", "short", "BAD_USER_INPUT"),
                    register("new@example.com", "ADA", "correct horse", "CONFLICT"),
                ],
                again: None,
                uses: (0..4)
                    .map(|n| {
                        register(
                            &format!("new{n}@example.com"),
                            &format!("new{n}"),
                            "correct horse",
                            "OK",
                        )
                    })
                    .collect(),
                shown: None,
            }
        }
        Limit::Email => {
            let change = |email: &str, password: &str, expected| {
                of_ada(EMAIL, json!({"email": email, "password": password}), expected)
            };
            Case {
                free: vec![
                    change("no address", "correct horse", "BAD_USER_INPUT"),
                    change("new@example.com", "wrong horse", "BAD_USER_INPUT"),
                ],
                again: None,
                uses: (0..5)
                    .map(|_| change("new@example.com", "correct horse", "OK"))
                    .collect(),
                shown: None,
            }
        }
        Limit::EmailOfAddress => {
            let reset = |email: &str, expected| by(&app.anyone(), RESET, json!({"email": email}), expected);
            Case {
                free: vec![reset("no address", "BAD_USER_INPUT")],
                again: None,
                uses: (0..10)
                    .map(|n| reset(&format!("somebody{n}@example.com"), "OK"))
                    .collect(),
                shown: None,
            }
        }
    })
}

/// Lifts all limits but one, which is so many in 15 minutes. Beyond it nothing goes on slowly.
fn alone(limits: &mut Limits, limit: Limit, uses: usize) {
    let lifted = Rate::new(1_000_000, Duration::from_secs(60));
    let only = Rate::new(uses, Duration::from_secs(900));
    let of = |this: Limit| if this == limit { only } else { lifted };
    *limits = Limits {
        requests: lifted,
        answers: of(Limit::Answer),
        batches: of(Limit::Batch),
        submits: of(Limit::Submit),
        starts: of(Limit::Start),
        exports: of(Limit::Export),
        imports: of(Limit::Import),
        pictures: of(Limit::Picture),
        registers: of(Limit::Register),
        letters: of(Limit::Email),
        letters_of_address: of(Limit::EmailOfAddress),
        slowed_registers: Rate::new(1, Duration::from_secs(900)),
        slowed_letters_of_address: Rate::new(1, Duration::from_secs(900)),
        ..Limits::default()
    };
}

/// All that costs nothing is answered as ever, and the budget is what it was.
async fn costs_nothing(app: &TestApp, limit: Limit, case: &Case, left: usize) {
    for free in &case.free {
        let free = Try {
            by: app.at(&free.by),
            variables: free.variables.clone(),
            ..*free
        };
        assert_eq!(
            free.answer().await,
            free.expected,
            "{limit:?}, {left} left: {}",
            free.variables
        );
    }
    if let (Some(shown), Some(first)) = (case.shown, case.free.first()) {
        let query = format!("{{ rateLimit {{ {shown} {{ remaining }} }} }}");
        let data = app.at(&first.by).ask(&query, json!({})).await;
        assert_eq!(data["rateLimit"][shown]["remaining"], left, "{limit:?}");
    }
}

on_both_databases! {
    async fn what_takes_no_effect_costs_nothing_and_passes_with_nothing_left(app: TestApp) {
        let mut cases = 0;
        for limit in Limit::ALL {
            // Each on a site of its own: handles and addresses are taken once.
            let fresh = match app.is_postgres() {
                true => TestApp::postgres().await.expect("PostgreSQL"),
                false => TestApp::sqlite().await,
            };
            let Some(case) = case(&fresh, *limit).await else { continue };
            cases += 1;
            let app = fresh.restarted_with(|config| alone(&mut config.limits, *limit, 1)).await;
            costs_nothing(&app, *limit, &case, 1).await;
            let mut uses = case.uses.iter().map(|a_use| Try { by: app.at(&a_use.by), variables: a_use.variables.clone(), ..*a_use });
            let mut use_one = async || uses.next().expect("another").answer().await;
            assert_eq!(use_one().await, case.uses[0].expected, "{limit:?}");
            if limit.pace().is_some() {
                assert_eq!(use_one().await, case.uses[1].expected, "{limit:?}: slowed, not refused");
            }
            assert_eq!(use_one().await, "RATE_LIMITED", "{limit:?}");
            costs_nothing(&app, *limit, &case, 0).await;
            if let Some(again) = &case.again {
                let again = Try { by: app.at(&again.by), variables: again.variables.clone(), ..*again };
                assert_eq!(again.answer().await, again.expected, "{limit:?}: the same again");
            }
            app.advance(Duration::from_secs(900));
            assert_eq!(use_one().await, case.uses[0].expected, "{limit:?}: the window is over");
        }
        assert_eq!(cases, 10);
    }

    async fn of_many_uses_at_once_exactly_as_many_as_allowed_pass(app: TestApp) {
        exactly(&app, async |limit| {
            vec![app.restarted_with(|config| alone(&mut config.limits, limit, 3)).await]
        })
        .await;
    }

    async fn the_last_use_is_shared_by_those_who_do_the_same(app: TestApp) {
        shared(&app, async |limit| {
            vec![app.restarted_with(|config| alone(&mut config.limits, limit, 1)).await]
        })
        .await;
    }

    async fn a_save_that_is_not_a_use_takes_a_statement_more_only_if_nothing_is_left(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(2, |_| {}).await);
        let paper = ada.start(quiz).await;
        let ada = app.restarted_with(|config| alone(&mut config.limits, Limit::Answer, 1)).await.at(&ada);
        assert_eq!(app.statements(ada.save(&paper, 0, 0, 1)).await.0, 1);
        let (statements, stale) = app.statements(ada.save(&paper, 0, 0, 1)).await;
        assert_eq!((statements, &stale["outcome"]), (3, &json!("STALE")));
        let refused = save(&paper, 1, &paper.questions[1].1[0], 1);
        assert_eq!(app.statements(ada.send(SAVE, refused)).await.0, 1);
    }
}

/// Uses at once, where three are allowed, and what costs nothing in between.
async fn exactly(app: &TestApp, limited: impl AsyncFn(Limit) -> Vec<TestApp>) {
    for limit in [
        Limit::Start,
        Limit::Submit,
        Limit::Answer,
        Limit::Batch,
        Limit::Export,
        Limit::Import,
    ] {
        // Ada is another one in each round.
        let rename = format!(
            "UPDATE users SET email = '{limit:?}@example.com', handle = '{limit:?}', handle_look = NULL WHERE handle = 'ada'"
        );
        let case = case(app, limit).await.expect("a case");
        sea_orm::ConnectionTrait::execute_unprepared(app.app.db.write(), &rename)
            .await
            .expect("renamed");
        // What was done so far is over.
        app.advance(Duration::from_secs(900));
        let servers = limited(limit).await;
        // A save is counted until its one statement has told what it is.
        let is_told_late = matches!(limit, Limit::Answer | Limit::Batch);
        let free = case.free.iter().filter(|_| !is_told_late).cycle().map(Some);
        let tries = case.uses.iter().zip(free.chain(std::iter::repeat(None)));
        let tries = tries.flat_map(|(a_use, free)| [Some((true, a_use)), free.map(|free| (false, free))]);
        let tries = tries.flatten().enumerate().map(|(n, (is_use, this))| {
            let this = Try {
                by: servers[n % servers.len()].at(&this.by),
                variables: this.variables.clone(),
                ..*this
            };
            async move { (is_use, this.answer().await, this.expected) }
        });
        let mut of_uses = BTreeMap::new();
        for (is_use, answer, expected) in join_all(tries).await {
            if is_use {
                *of_uses.entry(answer).or_insert(0) += 1;
            } else {
                assert_eq!(answer, expected, "{limit:?}");
            }
        }
        let expected = BTreeMap::from([
            (case.uses[0].expected.to_owned(), 3),
            ("RATE_LIMITED".to_owned(), MANY - 3),
        ]);
        assert_eq!(of_uses, expected, "{limit:?}");
    }
}

/// Many who start, or submit, one attempt at once, where one may.
async fn shared(app: &TestApp, limited: impl AsyncFn(Limit) -> Vec<TestApp>) {
    let quiz = app.quiz(1, |quiz| quiz.max_attempts = Some(1)).await;
    let ada = app.student().await;
    let everywhere =
        |servers: Vec<TestApp>| -> Vec<Actor> { (0..20).map(|n| servers[n % servers.len()].at(&ada)).collect() };
    let starts = everywhere(limited(Limit::Start).await);
    let starts = starts.into_iter().map(|ada| async move { ada.start(quiz).await });
    let started = join_all(starts).await;
    assert!(started.iter().all(|paper| paper.attempt == started[0].attempt));
    let paper = &started[0];
    let submits = everywhere(limited(Limit::Submit).await);
    let submits = submits
        .into_iter()
        .map(|ada| async move { ada.submit(paper, "the one key").await["errors"].clone() });
    let submitted = join_all(submits).await;
    assert!(submitted.iter().all(|errors| *errors == json!([])), "{submitted:?}");
}

/// The servers of a fleet that shares its counts, with so many uses of the limit.
async fn limited(fleet: &Fleet, limit: Limit, uses: usize) -> Vec<TestApp> {
    let mut servers = Vec::new();
    for server in &fleet.servers {
        let limited = server
            .app
            .restarted_with(|config| alone(&mut config.limits, limit, uses));
        let app = limited.await;
        let shared = app.app.fleet.clone().expect("a fleet");
        tokio::spawn(background::keep_channel(app.app.clone()));
        shared.until(Health::Connected).await;
        servers.push(app);
    }
    servers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_uses_at_two_servers_exactly_as_many_as_allowed_pass() {
    let Some(fleet) = Fleet::of(2).await else { return };
    exactly(&fleet.servers[0].app, async |limit| limited(&fleet, limit, 3).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_use_is_shared_at_two_servers() {
    let Some(fleet) = Fleet::of(2).await else { return };
    shared(&fleet.servers[0].app, async |limit| limited(&fleet, limit, 1).await).await;
}
