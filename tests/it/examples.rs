//! The examples do what they say, against a real server.

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../examples/play.rs"]
mod play;

use marmalade::entity::QuizId;

use crate::on_both_databases;

on_both_databases! {
    async fn play_takes_a_quiz_and_sees_its_rank_move(app: TestApp) {
        let quiz: QuizId = app.quiz(4, |_| {}).await;
        app.student().await.take(quiz, 4).await;
        let server = format!("http://{}", app.listen().await);
        let mut story = Vec::new();
        play::play(&server, Some(quiz.encode()), |line| story.push(line)).await.expect("it plays");
        let told = |what: &str| assert!(story.iter().any(|line| line.contains(what)), "{what}: {story:#?}");
        told("not among the 1 ranked yet");
        told("2.0 of 4.0 points, 2 right, 2 wrong");
        told("rank 2 of 2 with 2.0 points");
        told("CANARY explanation 1");
    }
}
