//! Plays through the main job against a running server: signs up a student, takes a quiz over HTTP, follows the rank
//! over WebSocket, and prints the story.
//!
//! ```sh
//! cargo run &
//! cargo run --example play                       # the newest quiz
//! cargo run --example play -- http://127.0.0.1:8080 quiz_…
//! ```

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Student {
    server: String,
    http: reqwest::Client,
    token: Option<String>,
}

impl Student {
    async fn ask(&self, query: &str, variables: Value) -> Result<Value> {
        let mut request = self.http.post(format!("{}/graphql", self.server));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let body = json!({"query": query, "variables": variables});
        let mut reply: Value = request.json(&body).send().await?.json().await?;
        if !reply["errors"].is_null() {
            return Err(format!("the server refused: {}", reply["errors"]).into());
        }
        Ok(reply["data"].take())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".into());
    play(&server, arguments.next(), |line| println!("{line}")).await
}

/// Takes the quiz of that id, or the newest one, and tells what happens.
pub async fn play(server: &str, quiz: Option<String>, mut tell: impl FnMut(String)) -> Result<()> {
    let mut student = Student {
        server: server.to_owned(),
        http: reqwest::Client::new(),
        token: None,
    };

    let name = format!("player_{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let input = json!({"email": format!("{name}@example.com"), "handle": name, "password": "a long enough password",
                       "client": "NATIVE"});
    let query =
        "mutation($input: RegisterInput!) { register(input: $input) { tokens { accessToken } errors { message } } }";
    let data = student.ask(query, json!({"input": input})).await?;
    let token = data["register"]["tokens"]["accessToken"]
        .as_str()
        .ok_or("no token")?
        .to_owned();
    student.token = Some(token.clone());
    tell(format!("{name} has signed up."));

    let (quiz, title) = choose(&student, quiz).await?;
    let mut ranks = watch(&student, server, &token).await?;
    tell(format!(
        "Watching the board of the week: {}",
        next_rank(&mut ranks).await?
    ));

    let query = "mutation($quiz: ID!) { startAttempt(input: {quizId: $quiz}) { errors { message }
        attempt { id deadlineAt questions { id text choices { id text } } } } }";
    let data = student.ask(query, json!({"quiz": quiz})).await?;
    let attempt = &data["startAttempt"]["attempt"];
    let questions = attempt["questions"].as_array().ok_or("no questions")?;
    tell(format!(
        "Started \"{title}\": {} questions until {}.",
        questions.len(),
        attempt["deadlineAt"]
    ));

    let answers: Vec<_> = questions
        .iter()
        .enumerate()
        .map(|(i, question)| {
            let choices = question["choices"].as_array().map_or(0, Vec::len);
            // Without a choice a question asks for a number.
            match choices {
                0 => json!({"questionId": question["id"], "number": "42", "seq": 1}),
                _ => {
                    json!({"questionId": question["id"], "choiceId": question["choices"][i % choices]["id"], "seq": 1})
                }
            }
        })
        .collect();
    let query =
        "mutation($input: SaveAnswersInput!) { saveAnswers(input: $input) { results { outcome } errors { message } } }";
    student
        .ask(
            query,
            json!({"input": {"attemptId": attempt["id"], "answers": answers}}),
        )
        .await?;

    let query = "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) { errors { message }
        attempt { result { points maxPoints rightCount wrongCount } } } }";
    let input = json!({"attemptId": attempt["id"], "idempotencyKey": uuid::Uuid::new_v4().to_string()});
    let data = student.ask(query, json!({"input": input})).await?;
    let result = &data["submitAttempt"]["attempt"]["result"];
    tell(format!(
        "Submitted: {} of {} points, {} right, {} wrong.",
        result["points"], result["maxPoints"], result["rightCount"], result["wrongCount"]
    ));
    tell(format!("The rank has moved: {}", next_rank(&mut ranks).await?));

    let query =
        "query($id: ID!) { attempt(id: $id) { review { questions { outcome explanation question { text } } } } }";
    let data = student.ask(query, json!({"id": attempt["id"]})).await?;
    let reviewed = data["attempt"]["review"]["questions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if let Some(wrong) = reviewed.iter().find(|question| question["outcome"] == "WRONG") {
        tell(format!(
            "To be learnt: {} {}",
            wrong["question"]["text"], wrong["explanation"]
        ));
    }
    Ok(())
}

/// The quiz of that id, or the newest one.
async fn choose(student: &Student, id: Option<String>) -> Result<(String, String)> {
    let quiz = match id {
        Some(id) => student
            .ask("query($id: ID!) { quiz(id: $id) { id title } }", json!({"id": id}))
            .await?["quiz"]
            .take(),
        None => student
            .ask("{ quizzes(first: 1) { nodes { id title } } }", json!({}))
            .await?["quizzes"]["nodes"][0]
            .take(),
    };
    let text = |field: &str| quiz[field].as_str().map(str::to_owned).ok_or("there is no such quiz");
    Ok((text("id")?, text("title")?))
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Follows the own rank on the board of the week: by its id, which the release before this one takes, too.
async fn watch(student: &Student, server: &str, token: &str) -> Result<Socket> {
    let board = student.ask("{ board(window: WEEK) { id } }", json!({})).await?["board"]["id"].take();
    let mut request = format!("{}/graphql/ws", server.replacen("http", "ws", 1)).into_client_request()?;
    let protocol = HeaderValue::from_static("graphql-transport-ws");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = connect_async(request).await?;
    let init = json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {token}")}});
    socket.send(Message::text(init.to_string())).await?;
    let query = "subscription($board: ID!) { standingChanged(board: {id: $board}) { asOf totalCount standing { rank points } } }";
    let _ack = next_message(&mut socket, "connection_ack").await?;
    let subscribe = json!({"id": "1", "type": "subscribe", "payload": {"query": query, "variables": {"board": board}}});
    socket.send(Message::text(subscribe.to_string())).await?;
    Ok(socket)
}

async fn next_rank(socket: &mut Socket) -> Result<String> {
    let event = next_message(socket, "next").await?["payload"]["data"]["standingChanged"].take();
    let total = &event["totalCount"];
    Ok(match event["standing"]["rank"].as_u64() {
        Some(rank) => format!("rank {rank} of {total} with {} points", event["standing"]["points"]),
        None => format!("not among the {total} ranked yet"),
    })
}

/// The next message of this type; pings are answered.
async fn next_message(socket: &mut Socket, kind: &str) -> Result<Value> {
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let message: Value = serde_json::from_str(&text)?;
        match message["type"].as_str() {
            Some(found) if found == kind => return Ok(message),
            Some("ping") => socket.send(Message::text(r#"{"type":"pong"}"#)).await?,
            Some("error" | "complete") => return Err(format!("the stream ended: {text}").into()),
            _ => {}
        }
    }
    Err("the server hung up".into())
}
