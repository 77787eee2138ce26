//! graphql_client: types made of schema.graphql and the operations when this is compiled, so that whatever the server
//! leaves out or calls otherwise is an error. Started by `../rust.mjs`, which starts the server.
//!
//! What it prints: `ok` or `FAIL`, the name of a check, and what is to be said about it, between tabs.

use std::{env, fmt::Debug, process::ExitCode};

use graphql_client::{GraphQLQuery, Response};
use serde::{Serialize, de::DeserializeOwned};

type DateTime = String;
type Decimal = String;
type EmailAddress = String;
type Handle = String;
type IdempotencyKey = String;
type Markdown = String;
type Password = String;
type PictureUrl = String;
type SearchText = String;

macro_rules! operations {
    ($($name:ident $path:tt)*) => {$(
        #[derive(GraphQLQuery)]
        #[graphql(schema_path = "../../../schema.graphql", query_path = $path, response_derives = "Debug", variables_derives = "Clone")]
        struct $name;
    )*};
}

operations! {
    CatalogueQuery "../operations/Catalogue.graphql"
    ItemQuery "../operations/Item.graphql"
    RefusedQuery "../operations/Refused.graphql"
    SaveAnswerMutation "../operations/SaveAnswer.graphql"
    SignInMutation "../operations/SignIn.graphql"
    StartAttemptMutation "../operations/StartAttempt.graphql"
    SubmitAttemptMutation "../operations/SubmitAttempt.graphql"
    ViewerQuery "../operations/Viewer.graphql"
    Mine "several.graphql"
    Titles "several.graphql"
}

struct Site {
    url: String,
    token: String,
}

impl Site {
    /// Sends an operation; an answer that does not fit the types is an error.
    fn send<Q: GraphQLQuery>(&self, _: Q, variables: Q::Variables) -> Result<Response<Q::ResponseData>, String>
    where
        Q::Variables: Serialize,
        Q::ResponseData: DeserializeOwned,
    {
        let body = serde_json::to_string(&Q::build_query(variables)).map_err(|error| error.to_string())?;
        let answer = ureq::post(&self.url)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .send(body)
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .map_err(|error| error.to_string())?;
        serde_json::from_str(&answer).map_err(|error| format!("{error}: {answer}"))
    }

    fn ask<Q: GraphQLQuery>(&self, query: Q, variables: Q::Variables) -> Result<Q::ResponseData, String>
    where
        Q::Variables: Serialize,
        Q::ResponseData: DeserializeOwned + Debug,
    {
        let answer = self.send(query, variables)?;
        match (answer.data, answer.errors) {
            (Some(data), None) => Ok(data),
            (data, errors) => Err(format!("{data:?} {errors:?}")),
        }
    }
}

/// The first quiz of the catalogue.
fn a_quiz(site: &Site) -> Result<String, String> {
    let variables = catalogue_query::Variables {
        first: 1,
        after: None,
        filter: None,
    };
    let data = site.ask(CatalogueQuery, variables)?;
    let edge = data.quizzes.edges.into_iter().next().ok_or("the catalogue is empty")?;
    Ok(edge.node.id)
}

fn refused(site: &Site) -> Result<(), String> {
    let answer = site.send(RefusedQuery, refused_query::Variables)?;
    let data = answer.data.ok_or("no data")?;
    is(data.jobs.is_none(), "jobs is null")?;
    is(data.board.is_none(), "board is null")?;
    is(data.viewer.is_some(), "the viewer is there")?;
    let errors = answer.errors.unwrap_or_default();
    is(errors.len() == 2, &format!("two errors: {errors:?}"))
}

fn several(site: &Site) -> Result<(), String> {
    site.ask(Mine, mine::Variables)?.viewer.ok_or("no viewer")?;
    let titles = site.ask(Titles, titles::Variables { first: 2 })?;
    is(titles.quizzes.nodes.len() == 2, "two titles")
}

fn catalogue(site: &Site) -> Result<(), String> {
    let filter = catalogue_query::QuizFilter {
        chapter_id: None,
        max_minutes: Some(600),
        max_questions: None,
        min_minutes: None,
        min_questions: Some(1),
        subject_id: None,
        text: None,
    };
    let variables = catalogue_query::Variables {
        first: 3,
        after: None,
        filter: Some(filter),
    };
    let data = site.ask(CatalogueQuery, variables)?;
    is(data.quizzes.edges.len() == 3, "three quizzes")?;
    is(
        data.quizzes.edges.iter().all(|edge| !edge.node.subject.name.is_empty()),
        "each has a subject",
    )
}

fn item(site: &Site) -> Result<(), String> {
    for deep in [true, false] {
        let variables = item_query::Variables {
            id: a_quiz(site)?,
            deep: Some(deep),
        };
        let node = site.ask(ItemQuery, variables)?.node.ok_or("not found")?;
        let item_query::ItemQueryNodeOn::Quiz(quiz) = node.on else {
            return Err("not a quiz".into());
        };
        is(quiz.board.is_some() == deep, "its board is there when it is asked for")?;
    }
    Ok(())
}

fn sign_in(site: &Site) -> Result<(), String> {
    let input = sign_in_mutation::SignInInput {
        email: env::var("EMAIL").map_err(|error| error.to_string())?,
        password: env::var("PASSWORD").map_err(|error| error.to_string())?,
        client: Some(sign_in_mutation::SessionClient::NATIVE),
        device_token: None,
        staff_only: None,
    };
    let answer = site.send(SignInMutation, sign_in_mutation::Variables { input })?;
    is(
        format!("{:?}", answer.data).contains("access_token"),
        &format!("tokens: {answer:?}"),
    )
}

fn viewer(site: &Site) -> Result<(), String> {
    let data = site.ask(ViewerQuery, viewer_query::Variables { sessions: Some(3) })?;
    is(
        data.viewer.is_some_and(|viewer| viewer.email.is_some()),
        "the viewer has an address",
    )
}

fn attempt(site: &Site) -> Result<(), String> {
    let input = start_attempt_mutation::StartAttemptInput { quiz_id: a_quiz(site)? };
    let started = site.ask(StartAttemptMutation, start_attempt_mutation::Variables { input })?;
    let attempt = started
        .start_attempt
        .and_then(|payload| payload.attempt)
        .ok_or("not started")?;
    let question = attempt.questions.first().ok_or("no question")?;
    let input = save_answer_mutation::SaveAnswerInput {
        attempt_id: attempt.id.clone(),
        question_id: question.id.clone(),
        choice_id: question.choices.first().map(|choice| choice.id.clone()),
        choice_ids: None,
        number: None,
        seq: 1,
    };
    let saved = site.ask(SaveAnswerMutation, save_answer_mutation::Variables { input })?;
    let outcome = saved.save_answer.and_then(|payload| payload.outcome);
    is(
        matches!(outcome, Some(save_answer_mutation::SaveOutcome::SAVED)),
        "saved",
    )?;
    let input = submit_attempt_mutation::SubmitAttemptInput {
        attempt_id: attempt.id,
        idempotency_key: "a key of graphql_client".into(),
    };
    let submitted = site.ask(SubmitAttemptMutation, submit_attempt_mutation::Variables { input })?;
    let attempt = submitted
        .submit_attempt
        .and_then(|payload| payload.attempt)
        .ok_or("not submitted")?;
    is(attempt.submitted_at.is_some(), "submitted")
}

fn is(it: bool, what: &str) -> Result<(), String> {
    it.then_some(()).ok_or_else(|| format!("not so: {what}"))
}

/// A name, and what is tried under it.
type Check = (&'static str, fn(&Site) -> Result<(), String>);

const CHECKS: [Check; 7] = [
    (
        "fields that failed are null, and the answer fits the types (1)",
        refused,
    ),
    (
        "of a document of several operations the one that is named runs (5)",
        several,
    ),
    (
        "a page of the catalogue, with a filter and variables that are null",
        catalogue,
    ),
    ("a node is known by its type", item),
    ("signing in", sign_in),
    ("the own account, with its sessions", viewer),
    ("an attempt is started, answered and submitted", attempt),
];

fn main() -> ExitCode {
    let (Ok(url), Ok(token)) = (env::var("URL"), env::var("TOKEN")) else {
        eprintln!("URL and TOKEN are wanted");
        return ExitCode::FAILURE;
    };
    let site = Site { url, token };
    for (name, check) in CHECKS {
        match check(&site) {
            Ok(()) => println!("ok\t{name}\t"),
            Err(why) => println!(
                "FAIL\t{name}\t{}",
                why.replace('\n', " ").chars().take(400).collect::<String>()
            ),
        }
    }
    ExitCode::SUCCESS
}
