//! Content and students to try things out with. The questions are in the format that staff import.

use std::{sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait};

use crate::{
    account::session::{self, Device},
    app::App,
    attempt::{
        self,
        answers::{Reply, Save},
    },
    auth::{password, role::Role},
    change::{Cause, Change},
    clock::Moment,
    db::{self, AdvisoryLock, Db},
    entity::{question::Kind, quiz::ReviewOpens, session::Client, user},
    error::{Error, Result},
    id::QuizId,
    import,
    limit::Allowance,
    quiz::{
        Marking,
        author::{self, NewQuestion, NewQuiz},
        paper::Question,
        right::{self, Choices, Right},
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
    // The oldest, and so the last of the catalogue.
    let kinds = kinds(app, &month).await?;
    let mut quizzes = quizzes(app, &month).await?;
    quizzes.push(kinds);
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
                let answer = match key.right.get(&question.id) {
                    Some(right) if knows => reply(question, right),
                    _ => guess(question, chance),
                };
                Save {
                    question: question.id,
                    answer,
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

/// The right answer to a question.
fn reply(question: &Question, right: &Right) -> Option<Reply> {
    let choice = |position: usize| question.choices.get(position).map(|choice| choice.id);
    match right {
        Right::Number(number) => Some(Reply::Number(number.value)),
        Right::Choices(right) if question.kind == Kind::AllChoices => {
            Some(Reply::Choices(right.positions().filter_map(choice).collect()))
        }
        Right::Choices(right) => right.positions().next().and_then(choice).map(Reply::Choice),
    }
}

/// Some answer to a question.
fn guess(question: &Question, chance: &mut StdRng) -> Option<Reply> {
    if question.kind == Kind::Number {
        return Some(Reply::Number(chance.random_range(1..100).into()));
    }
    let choice = question.choices.get(chance.random_range(0..question.choices.len()))?.id;
    match question.kind {
        Kind::AllChoices => Some(Reply::Choices(vec![choice])),
        _ => Some(Reply::Choice(choice)),
    }
}

/// A quiz with a question of each kind, shuffled for each attempt.
async fn kinds(app: &App, now: &Moment) -> Result<QuizId> {
    let question = |kind, text: &str, choices: &[&str], right, explanation: &str| NewQuestion {
        chapter: Some("Kinds of questions".to_owned()),
        text: text.into(),
        image: None,
        picture: None,
        kind,
        choices: choices.iter().map(|choice| (*choice).into()).collect(),
        right,
        explanation: Some(explanation.into()),
    };
    let number = |value: i64, tolerance: i64| {
        let (value, tolerance) = (Decimal::new(value, 1), Decimal::new(tolerance, 1));
        Right::Number(right::Number { value, tolerance })
    };
    let questions = [
        question(
            Kind::SingleChoice,
            "Which of these is a vector?",
            &["Speed", "Mass", "Velocity", "Energy"],
            Right::one(2),
            "Velocity has a direction. Speed is its magnitude; mass and energy are scalars, too.",
        ),
        question(
            Kind::AllChoices,
            "Which of these are base units of the SI?",
            &["Newton", "Kilogram", "Ampere", "Volt", "Kelvin"],
            Right::Choices(Choices::of([1, 2, 4])),
            "Newton and volt are derived: 1 N = 1 kg m s⁻² and 1 V = 1 J C⁻¹.",
        ),
        question(
            Kind::AnyChoice,
            "Name one quantity that an elastic collision conserves.",
            &[
                "Momentum",
                "Kinetic energy",
                "The velocity of each body",
                "The momentum of each body",
            ],
            Right::Choices(Choices::of([0, 1])),
            "The sum of momenta and the sum of kinetic energies stay; those of one body alone need not.",
        ),
        question(
            Kind::TrueFalse,
            "A body may have a velocity of zero and an acceleration that is not zero.",
            &["True", "False"],
            Right::one(0),
            "A stone thrown upwards is at rest at its highest point, and its acceleration is g.",
        ),
        question(
            Kind::Number,
            "A car starts from rest and reaches 72 km h⁻¹ in 8.0 s. What is its acceleration, in m s⁻²?",
            &[],
            number(25, 1),
            "72 km h⁻¹ = 20 m s⁻¹, and 20 ÷ 8.0 = 2.5 m s⁻².",
        ),
    ];
    let quiz = NewQuiz {
        description: Some(
            "One question of each kind: one choice, all choices, any choice, true or false, a number.".into(),
        ),
        duration: Duration::from_secs(20 * 60),
        shuffle_questions: true,
        shuffle_choices: true,
        ..NewQuiz::titled("Physics: five kinds of questions", questions.len())
    };
    let mut change = Change::begin(app, &Cause::clock(now)).await?;
    let subject = author::subject(&change, "Physics", now).await?;
    let quiz = author::draft(&change, subject, quiz, &questions, now).await?;
    author::publish_in(&mut change, quiz).await?;
    change.commit().await?;
    Ok(quiz)
}
