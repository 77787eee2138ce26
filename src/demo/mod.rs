//! Content and students to try things out with. The questions are in the format that staff import.

use std::{sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait};

use crate::{
    account::session::{self, Device},
    app::App,
    attempt::{self, answers::Save},
    auth::{password, role::Role},
    change::{Cause, Change},
    clock::Moment,
    db::{self, AdvisoryLock, Db},
    entity::{quiz::ReviewOpens, session::Client, user},
    error::{Error, Result},
    id::QuizId,
    import,
    limit::Allowance,
    quiz::{
        Marking,
        author::{self, NewQuiz},
    },
};

/// The password of every demo account.
pub(crate) const PASSWORD: &str = "marmalade-demo";

/// The demo accounts: email address and role.
pub(crate) const ACCOUNTS: [(&str, &str); 3] = [
    ("admin@demo.example", "admin"),
    ("editor@demo.example", "editor"),
    ("student1@demo.example", "student; student2 to student36 likewise"),
];

/// File, subject, title, minutes.
const QUIZZES: [(&str, &str, &str, u64, &str); 5] = [
    (
        "biology.csv",
        "Biology",
        "Biology: the essentials",
        30,
        include_str!("content/biology.csv"),
    ),
    (
        "chemistry.csv",
        "Chemistry",
        "Chemistry: the essentials",
        30,
        include_str!("content/chemistry.csv"),
    ),
    (
        "physics.csv",
        "Physics",
        "Physics: the essentials",
        30,
        include_str!("content/physics.csv"),
    ),
    (
        "english.csv",
        "English",
        "English: the essentials",
        20,
        include_str!("content/english.csv"),
    ),
    (
        "mdcat-mock.csv",
        "Biology",
        "MDCAT mock: Biology",
        40,
        include_str!("content/mdcat-mock.csv"),
    ),
];

const NAMES: [&str; 36] = [
    "ayesha", "bilal", "chanda", "danish", "eman", "faisal", "ghazala", "hamza", "iqra", "junaid", "kiran", "laiba",
    "moiz", "nimra", "omar", "parveen", "qasim", "rabia", "saad", "tehreem", "usman", "vaneeza", "waleed", "yumna",
    "zain", "amna", "babar", "dua", "fatima", "haris", "isra", "khadija", "mahnoor", "noman", "rida", "shahzaib",
];

/// Whether the database holds demo accounts.
pub async fn is_present(conn: &impl ConnectionTrait) -> Result<bool> {
    Ok(user::Entity::demo().count(conn).await? > 0)
}

/// Fills a database without accounts, with everything or nothing: until it is full nobody else sees any of it. Returns
/// whether it did.
#[expect(
    clippy::disallowed_methods,
    reason = "what must follow is done by the changes within it"
)]
pub async fn fill_if_empty(app: &App) -> Result<bool> {
    if user::Entity::present().count(app.db.read()).await? > 0 {
        return Ok(false);
    }
    let tx = Arc::new(app.db.begin().await?);
    db::advisory_lock(&*tx, AdvisoryLock::Fill).await?;
    // Another server may have been first.
    if user::Entity::present().count(&*tx).await? > 0 {
        return Ok(false);
    }
    let inside = inside(app, tx.clone()).await?;
    fill(&inside).await?;
    drop(inside);
    let tx = Arc::into_inner(tx).ok_or_else(|| Error::internal("the transaction of the demo content is still used"))?;
    tx.commit().await?;
    Ok(true)
}

/// The same site, all of whose statements run in a transaction. What must follow its changes, other servers' indexes say,
/// waits in the outbox for the commit.
async fn inside(app: &App, tx: Arc<DatabaseTransaction>) -> Result<App> {
    let mut config = app.config.clone();
    config.redis.url = None;
    App::with_keys(config, app.keys.clone(), Db::within(tx), app.clock.clone()).await
}

async fn fill(app: &App) -> Result<()> {
    let now = app.now();
    let hash = password::hash(PASSWORD.into(), now.random()).await?;
    let month = now.at(now.at - Duration::from_secs(30 * 24 * 3600));
    let quizzes = quizzes(app, &month).await?;
    account(app, "admin", "admin@demo.example", Role::Admin, &hash, &month).await?;
    account(app, "editor", "editor@demo.example", Role::Editor, &hash, &month).await?;
    // Always the same histories.
    let mut chance = StdRng::seed_from_u64(2026);
    for (i, name) in NAMES.iter().enumerate() {
        let email = format!("student{}@demo.example", i + 1);
        let student = account(app, name, &email, Role::Student, &hash, &month).await?;
        // The first one is for trying things out: nothing taken yet.
        if i > 0 {
            history(app, &student, &quizzes, &mut chance, &now).await?;
        }
    }
    Ok(())
}

async fn quizzes(app: &App, now: &Moment) -> Result<Vec<QuizId>> {
    let mut quizzes = Vec::new();
    for (file, subject, title, minutes, text) in QUIZZES {
        let sheets = import::read(file, text.as_bytes(), None, &import::Settings::default())
            .map_err(|error| Error::internal(error.to_string()))?;
        for sheet in sheets {
            if let Some(problem) = sheet.report.errors.first() {
                return Err(Error::internal(format!("{file} {}: {}", problem.cell, problem.message)));
            }
            let mock = title.starts_with("MDCAT");
            let quiz = NewQuiz {
                duration: Duration::from_secs(60 * minutes),
                description: Some(format!("{} questions at MDCAT level.", sheet.questions.len())),
                marking: if mock {
                    Marking {
                        right: 1000,
                        wrong: -250,
                        blank: 0,
                    }
                } else {
                    Marking::default()
                },
                review_opens: ReviewOpens::AfterSubmit,
                ..NewQuiz::titled(title, sheet.questions.len())
            };
            let mut change = Change::begin(app, &Cause::clock(now)).await?;
            let quiz = import::make_quiz(&change, subject, quiz, sheet.questions).await?;
            author::publish_in(&mut change, quiz).await?;
            change.commit().await?;
            quizzes.push(quiz);
        }
    }
    Ok(quizzes)
}

async fn account(app: &App, handle: &str, email: &str, role: Role, hash: &str, now: &Moment) -> Result<user::Model> {
    let row = user::ActiveModel {
        role: Set(role),
        demo: Set(true),
        ..user::ActiveModel::student(now.id(), email.into(), handle.into(), hash.into(), now.at)
    };
    Ok(user::Entity::insert(row).exec_with_returning(app.db.write()).await?)
}

/// Lets a student take some of the quizzes in the last weeks, more or less well.
async fn history(
    app: &App,
    student: &user::Model,
    quizzes: &[QuizId],
    chance: &mut StdRng,
    now: &Moment,
) -> Result<()> {
    // A month old and so expired: its tokens are unused.
    let (client, device, opened) = (Client::Browser, Device::default(), now.at(student.created_at));
    let session = session::open(app, student, client, device, &Cause::clock(&opened)).await?;
    let viewer = session.ok_or(Error::Unauthenticated)?.viewer;
    let skill = chance.random_range(35..90);
    for quiz in quizzes {
        if chance.random_range(0..100) < 25 {
            continue;
        }
        let minutes_ago = chance.random_range(60..20 * 24 * 60);
        let start = now.at(now.at - Duration::from_secs(60 * minutes_ago));
        let attempt = attempt::start(app, &viewer, *quiz, Allowance::UNLIMITED, &start)
            .await?
            .attempt;
        let paper = app.papers.paper(app.db.read(), attempt.revision_id).await?;
        let key = app.papers.key(app.db.read(), attempt.revision_id, 0).await?;
        let saves: Vec<Save> = paper
            .questions
            .iter()
            .filter(|_| chance.random_range(0..100) >= 5)
            .collect::<Vec<_>>()
            .into_iter()
            .map(|question| {
                let knows = chance.random_range(0..100) < skill;
                let guess = question
                    .choices
                    .get(chance.random_range(0..question.choices.len()))
                    .map(|choice| choice.id);
                Save {
                    question: question.id,
                    choice: if knows {
                        key.right.get(&question.id).copied()
                    } else {
                        guess
                    },
                    seq: 1,
                }
            })
            .collect();
        let end = now.at(start.at + Duration::from_secs(60 * chance.random_range(8..18)));
        if !saves.is_empty() {
            attempt::answers::save(app, &viewer, attempt.id, &saves, Allowance::UNLIMITED, &end).await?;
        }
        attempt::submit(app, &viewer, attempt.id, "demo-history", Allowance::UNLIMITED, &end).await?;
    }
    Ok(())
}
