//! Who stands where.

use std::time::Duration;

use futures_util::StreamExt;
use marmalade::{
    background,
    clock::{Clock, Time},
    entity::standing,
    leaderboard::live::{self, Followed, Watched},
    ranks::{
        board::{Board, Scope, Span, Window},
        index::{RankIndex, Standing},
        question::Question,
        tables,
    },
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, Statement};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::{
    on_both_databases,
    support::{Actor, socket::Socket},
};

on_both_databases! {
    async fn ranks_follow_a_submit_at_once_and_ties_share_one(app: TestApp) {
        let quiz = app.quiz(4, |_| {}).await;
        let (ada, bob, cyd, dan) = (app.student().await, app.student().await, app.student().await, app.student().await);
        ada.take(quiz, 2).await;
        assert_eq!(ada.rank("ALL_TIME").await, json!({"rank": 1, "points": 2.0}));
        bob.take(quiz, 3).await;
        cyd.take(quiz, 2).await;
        dan.take(quiz, 1).await;
        for (student, rank) in [(&bob, 1), (&ada, 2), (&cyd, 2), (&dan, 4)] {
            for window in ["ALL_TIME", "MONTH", "WEEK", "DAY"] {
                assert_eq!(student.rank(window).await["rank"], rank, "{window}");
            }
        }
        app.verify().await;
    }

    async fn a_board_is_there_once_its_window_has_begun(app: TestApp) {
        let ada = app.student().await;
        let in_a_week = app.app.now().at + Duration::from_secs(8 * 86_400);
        let window = Window::at(Span::Week, in_a_week, app.app.zone);
        let id = json!({"id": Board { scope: Scope::Everything, window }.encode()});
        let query = "query($id: ID!) { node(id: $id) { id } }";
        let (_, early) = ada.send(query, id.clone()).await;
        assert_eq!(early["errors"][0]["extensions"]["code"], "NOT_FOUND");
        app.advance(Duration::from_secs(7 * 86_400));
        assert_eq!(ada.ask(query, id.clone()).await["node"], id);
    }

    async fn a_closed_board_lists_its_winners(app: TestApp) {
        let quiz = app.quiz(4, |_| {}).await;
        let (ada, bob, cyd) = (app.student().await, app.student().await, app.student().await);
        for (student, right) in [(&ada, 3), (&bob, 1), (&cyd, 3)] {
            student.take(quiz, right).await;
            app.advance(Duration::from_secs(1));
        }
        let winners = "{ board(window: WEEK) { closed winners { points } previous { closed winners { rank points user { id } } } } }";
        let open = ada.ask(winners, json!({})).await["board"].take();
        assert_eq!(open, json!({"closed": false, "winners": [], "previous": {"closed": true, "winners": []}}));
        app.advance(Duration::from_secs(7 * 86_400));
        let won = |student: &Actor| json!({"rank": 1, "points": 3.0, "user": {"id": student.id().encode()}});
        let last_week = bob.ask(winners, json!({})).await["board"]["previous"].take();
        assert_eq!(last_week, json!({"closed": true, "winners": [won(&ada), won(&cyd)]}));
        let all_time = bob.ask("{ board { previous { id } winners { rank } } }", json!({})).await;
        assert_eq!(all_time["board"], json!({"previous": null, "winners": []}));
    }

    async fn a_standing_has_a_percentile_and_the_change_of_the_day(app: TestApp) {
        let (first, second) = (app.quiz(4, |_| {}).await, app.quiz(4, |_| {}).await);
        let (ada, bob, cyd, dan) = (app.student().await, app.student().await, app.student().await, app.student().await);
        for (student, right) in [(&ada, 3), (&bob, 2), (&cyd, 2)] {
            student.take(first, right).await;
        }
        let query = "query($window: BoardWindow) { board(window: $window) { standings { nodes { rank percentile movement } } } }";
        let asked = async |window: &str| bob.ask(query, json!({"window": window})).await["board"]["standings"]["nodes"].take();
        let row = |rank: u64, percentile: f64, movement: Option<i64>| json!({"rank": rank, "percentile": percentile, "movement": movement});
        let new = json!([row(1, 100.0, None), row(2, 100.0 * 2.0 / 3.0, None), row(2, 100.0 * 2.0 / 3.0, None)]);
        assert_eq!(asked("ALL_TIME").await, new, "nobody had a rank this morning");

        app.advance(Duration::from_secs(86_400));
        // Of 3, 2, 2 it becomes cyd 5, dan 4, ada 3, bob 2.
        cyd.take(second, 3).await;
        dan.take(second, 4).await;
        let moved = json!([row(1, 100.0, Some(1)), row(2, 75.0, None), row(3, 50.0, Some(-2)), row(4, 25.0, Some(-2))]);
        assert_eq!(asked("ALL_TIME").await, moved);
        assert_eq!(asked("WEEK").await, moved);
        let of_subject = "query($id: ID!) { node(id: $id) { ... on Quiz { subject { id } } } }";
        let subject = ada.ask(of_subject, json!({"id": first.encode()})).await["node"]["subject"]["id"].take();
        let of_subject = "query($id: ID!) { board(subjectId: $id) { viewerStanding { movement } } }";
        let own = cyd.ask(of_subject, json!({"id": subject})).await;
        assert_eq!(own["board"]["viewerStanding"]["movement"], 1);
        let of_quiz = "query($id: ID!) { board(quizId: $id) { viewerStanding { rank movement } } }";
        let own = ada.ask(of_quiz, json!({"id": first.encode()})).await;
        assert_eq!(own["board"]["viewerStanding"], json!({"rank": 1, "movement": 0}));
        // Today's own board was empty this morning, and what is over moves no more.
        assert_eq!(asked("DAY").await, json!([row(1, 100.0, None), row(2, 50.0, None)]));
        app.advance(Duration::from_secs(7 * 86_400));
        let last = "{ board(window: WEEK) { previous { standings { nodes { movement } } } } }";
        let last = ada.ask(last, json!({})).await["board"]["previous"]["standings"]["nodes"].take();
        assert_eq!(last[0]["movement"], json!(null));
        app.verify().await;
    }

    async fn a_standing_has_the_points_to_the_next_rank_and_those_who_share_it(app: TestApp) {
        let quiz = app.quiz(9, |_| {}).await;
        let mut students = Vec::new();
        for right in [7, 4, 4, 4, 1] {
            let student = app.student().await;
            student.take(quiz, right).await;
            app.advance(Duration::from_secs(1));
            students.push(student);
        }
        let row = |rank: u64, to_next: Option<f64>, shared: u64| json!({"rank": rank, "pointsToNextRank": to_next, "sharedBy": shared});
        let expected = [row(1, None, 1), row(2, Some(3.0), 3), row(2, Some(3.0), 3), row(2, Some(3.0), 3), row(5, Some(3.0), 1)];
        let query = "{ board { standings { nodes { rank pointsToNextRank sharedBy } }
            viewerStanding { rank pointsToNextRank sharedBy }
            aroundViewer(above: 1, below: 1) { totalCount startCursor endCursor standings { rank pointsToNextRank sharedBy } } } }";
        let board = students[2].ask(query, json!({})).await["board"].take();
        assert_eq!(board["standings"]["nodes"], json!(expected));
        assert_eq!(board["viewerStanding"], expected[2]);
        assert_eq!((&board["aroundViewer"]["standings"], &board["aroundViewer"]["totalCount"]), (&json!(expected[1..4]), &json!(5)));
        // The cursors are those of the list.
        let more = "query($start: String, $end: String) { board { above: standings(last: 5, before: $start) { nodes { rank } }
            below: standings(first: 5, after: $end) { nodes { rank } } } }";
        let more = students[2].ask(more, json!({"start": board["aroundViewer"]["startCursor"], "end": board["aroundViewer"]["endCursor"]})).await;
        assert_eq!(more["board"], json!({"above": {"nodes": [{"rank": 1}]}, "below": {"nodes": [{"rank": 5}]}}));
        // Who is not ranked has points, and no place.
        let hide = "mutation { updateAccount(input: {hiddenFromBoards: true}) { errors { code } } }";
        students[2].ask(hide, json!({})).await;
        let board = students[2].ask(query, json!({})).await["board"].take();
        assert_eq!(board["viewerStanding"], json!({"rank": null, "pointsToNextRank": null, "sharedBy": null}));
        assert_eq!(board["aroundViewer"], json!({"totalCount": 4, "startCursor": null, "endCursor": null, "standings": []}));
        assert_eq!(board["standings"]["nodes"][1], row(2, Some(3.0), 2));
        app.verify().await;
    }

    async fn a_stream_follows_exactly_one_board(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(1, |_| {}).await);
        let id = quiz.encode();
        for (board, is_followed) in [
            ("{everything: DAY}".to_owned(), true),
            (format!("{{quiz: {{id: {id:?}}}}}"), true),
            (format!("{{quiz: {{id: {id:?}, window: DAY}}}}"), true),
            ("{}".to_owned(), false),
            ("{everything: null}".to_owned(), false),
            (format!("{{everything: DAY, quiz: {{id: {id:?}}}}}"), false),
            (format!("{{everything: null, quiz: {{id: {id:?}}}}}"), false),
        ] {
            let event = ada.first_answer(&format!("subscription {{ boardChanged(board: {board}) {{ totalCount }} }}")).await;
            assert_eq!(event["errors"].is_null(), is_followed, "{board}: {event}");
        }
    }

    async fn a_stream_names_who_has_overtaken(app: TestApp) {
        let (first, second) = (app.quiz(5, |_| {}).await, app.quiz(5, |_| {}).await);
        let (ada, bob, cyd, dan) = (app.student().await, app.student().await, app.student().await, app.student().await);
        for (student, right) in [(&ada, 2), (&bob, 3), (&cyd, 1)] {
            student.take(first, right).await;
        }
        let server = app.listen().await;
        let mut socket = Socket::open(server, &ada.token()).await;
        let query = "subscription { standingChanged(board: {everything: ALL_TIME}) { standing { rank } overtakenBy { id } } }";
        socket.subscribe("1", query).await;
        let event = |rank: u64, by: &[&Actor]| {
            let by: Vec<_> = by.iter().map(|student| json!({"id": student.id().encode()})).collect();
            json!({"standingChanged": {"standing": {"rank": rank}, "overtakenBy": by}})
        };
        assert_eq!(socket.event().await, event(2, &[]));
        cyd.take(second, 5).await;
        assert_eq!(socket.event().await, event(3, &[&cyd]));
        // Bob was before ada, and stays it; dan comes from nowhere.
        bob.take(second, 1).await;
        dan.take(first, 5).await;
        let mut last = socket.event().await;
        if last != event(4, &[&dan]) {
            assert_eq!(last, event(3, &[]), "bob alone moves nothing");
            last = socket.event().await;
        }
        assert_eq!(last, event(4, &[&dan]));
        ada.take(second, 5).await;
        assert_eq!(socket.event().await, event(1, &[]));
    }

    async fn reading_the_answer_key_earns_no_rank(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(3, |_| {}).await);
        ada.take(quiz, 0).await;
        let before = ada.rank("ALL_TIME").await;
        ada.take(quiz, 3).await;
        assert_eq!(ada.rank("ALL_TIME").await, before);
        app.verify().await;
    }

    async fn the_dashboard_is_exact_and_takes_three_statements(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(4, |_| {}).await);
        let query = "{ dashboard { streakDays total { attempts rightCount accuracy }
            subjects { subject { name } } chapters { chapter { name } } recentAttempts { result { points } quiz { title } } } }";
        for attempts in 1..=10 {
            ada.take(quiz, 3).await;
            let (statements, data) = app.statements(ada.ask(query, json!({}))).await;
            assert_eq!(statements, 3);
            let total = &data["dashboard"]["total"];
            assert_eq!(total, &json!({"attempts": attempts, "rightCount": 3 * attempts, "accuracy": 0.75}));
            assert_eq!(data["dashboard"]["streakDays"], 1);
        }
        app.verify().await;
    }

    async fn a_dashboard_is_its_owners_whatever_others_do(app: TestApp) {
        let (ada, bob) = (app.student().await, app.student().await);
        let (quiz, others) = (app.quiz(4, |_| {}).await, app.quiz(3, |_| {}).await);
        let query = "{ dashboard { streakDays total { attempts rightCount } subjects { progress { attempts points } }
            chapters { progress { attempts } } days { day progress { attempts } } recentAttempts { id result { points } } } }";
        // Yesterday Bob alone took a quiz: that is no day of Ada's.
        bob.take(others, 3).await;
        app.advance(Duration::from_secs(86_400));
        ada.take(quiz, 3).await;
        let before = ada.ask(query, json!({})).await;
        assert_eq!(before["dashboard"]["streakDays"], 1);
        assert_eq!(before["dashboard"]["days"].as_array().map(Vec::len), Some(1));
        bob.take(others, 1).await;
        bob.take(quiz, 4).await;
        assert_eq!(ada.ask(query, json!({})).await, before);
        assert_eq!(bob.ask(query, json!({})).await["dashboard"]["streakDays"], 2);
        app.advance(Duration::from_secs(2 * 86_400));
        bob.take(others, 2).await;
        assert_eq!(ada.ask(query, json!({})).await["dashboard"]["streakDays"], 0);
    }

    async fn over_midnight_the_old_boards_are_final_and_streams_follow(app: TestApp) {
        let quiz = app.quiz(2, |_| {}).await;
        let (ada, bob) = (app.student().await, app.student().await);
        // Sunday 23:30; Bob's time runs out at 23:50.
        app.advance(Duration::from_secs(6 * 86_400 + 13 * 3600 + 1800));
        let late = app.quiz(2, |quiz| quiz.duration = Duration::from_secs(1200)).await;
        let unnoticed = bob.start(late).await;
        bob.save(&unnoticed, 0, 0, 1).await;
        ada.take(quiz, 2).await;
        let sunday = "{ board(window: WEEK) { id } }";
        let board = ada.ask(sunday, json!({})).await["board"]["id"].take();

        let tasks = TaskTracker::new();
        let followed = Followed::Present(Scope::Everything, Span::Week);
        let mut stream = Box::pin(live::follow(app.app.boards.clone(), followed, Watched::Top(10)));
        let first = stream.next().await.and_then(Result::ok).expect("the present state");
        assert_eq!(first.rows.len(), 1);
        app.advance(Duration::from_secs(3600));
        background::serve(&app.app, &tasks);
        let wait = async {
            loop {
                let snapshot = stream.next().await.and_then(Result::ok).expect("the next state");
                if snapshot.board != first.board {
                    return snapshot;
                }
            }
        };
        let next = tokio::time::timeout(Duration::from_secs(5), wait).await.expect("the stream follows");
        assert!(next.rows.is_empty(), "the new board is empty");

        // Noticed after midnight, but its deadline was before: it counts for the old week.
        let result = bob.submit(&unnoticed, "after midnight").await;
        assert_eq!(result["attempt"]["submittedBy"], "CLOCK");
        let query = "query($id: ID!) { board(id: $id) { closed standings { nodes { points } } } }";
        let old = ada.ask(query, json!({"id": board})).await;
        assert_eq!(old["board"], json!({"closed": true, "standings": {"nodes": [{"points": 2.0}, {"points": 1.0}]}}));
        assert!(ada.rank("WEEK").await.is_null());
        app.app.shutdown.cancel();
        app.verify().await;
    }

    async fn a_stream_follows_all_submits_and_ends_with_its_session(app: TestApp) {
        let (ada, bob, quiz) = (app.student().await, app.student().await, app.quiz(3, |_| {}).await);
        ada.take(quiz, 1).await;
        let server = app.listen().await;
        let mut socket = Socket::open(server, &ada.token()).await;
        let query = "subscription { standingChanged(board: {everything: WEEK}) { totalCount standing { rank points } } }";
        socket.subscribe("1", query).await;
        let event = |rank, total| json!({"standingChanged": {"totalCount": total, "standing": {"rank": rank, "points": 1.0}}});
        assert_eq!(socket.event().await, event(1, 1));
        bob.take(quiz, 3).await;
        assert_eq!(socket.event().await, event(2, 2));
        let out = ada.ask("mutation { signOut { errors { code } } }", json!({})).await;
        assert_eq!(out["signOut"]["errors"], json!([]));
        assert_eq!(socket.closed().await, (4403, "Session ended".to_owned()));
    }

    async fn whoever_follows_the_top_is_told_of_newcomers_and_whoever_follows_a_rank_is_not(app: TestApp) {
        let (ada, bob, cyd, quiz) =
            (app.student().await, app.student().await, app.student().await, app.quiz(3, |_| {}).await);
        ada.take(quiz, 2).await;
        let server = app.listen().await;
        let (mut top, mut own) = (Socket::open(server, &cyd.token()).await, Socket::open(server, &ada.token()).await);
        let query = "subscription { boardChanged(board: {everything: ALL_TIME}, first: 1) { totalCount standings { rank points } } }";
        top.subscribe("1", query).await;
        own.subscribe("1", "subscription { standingChanged(board: {everything: ALL_TIME}) { totalCount standing { rank } } }").await;
        let of_top = |total, points| {
            json!({"boardChanged": {"totalCount": total, "standings": [{"rank": 1, "points": points}]}})
        };
        let of_own = |total, rank| json!({"standingChanged": {"totalCount": total, "standing": {"rank": rank}}});
        assert_eq!((top.event().await, own.event().await), (of_top(1, 2.0), of_own(1, 1)));
        bob.take(quiz, 1).await;
        assert_eq!(top.event().await, of_top(2, 2.0), "the first row is as it was, the number is not");
        cyd.take(quiz, 3).await;
        assert_eq!((top.event().await, own.event().await), (of_top(3, 3.0), of_own(3, 2)));
    }

    async fn verify_finds_a_fault_planted_by_hand(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(2, |_| {}).await);
        ada.take(quiz, 1).await;
        app.verify().await;
        for fault in [
            "UPDATE standings SET score = score + 1000 WHERE window_key = 'all'",
            "UPDATE standings SET reached_at = reached_at + 1 WHERE window_key <> 'all'",
            "UPDATE rollups SET right_count = right_count + 1 WHERE kind = 'DAY'",
            "UPDATE rollups SET score = score + 1 WHERE kind = 'CHAPTER'",
            "UPDATE results SET wrong_count = wrong_count + 1",
        ] {
            let before = marmalade::ops::verify::verify(&app.app).await.unwrap_or_else(|_| panic!("verify runs")).len();
            app.app.db.write().execute_unprepared(fault).await.expect("a fault");
            let after = marmalade::ops::verify::verify(&app.app).await.unwrap_or_else(|_| panic!("verify runs")).len();
            assert!(after > before, "{fault}");
        }
    }

    async fn verify_finds_a_missing_index(app: TestApp) {
        app.app.db.write().execute_unprepared("DROP INDEX standings_order").await.expect("a fault");
        let findings = marmalade::ops::verify::verify(&app.app).await.unwrap_or_else(|_| panic!("verify runs"));
        assert!(findings.iter().any(|finding| finding.contains("standings_order")), "{findings:#?}");
    }

    async fn a_restarted_server_ranks_as_before(app: TestApp) {
        let quiz = app.quiz(3, |_| {}).await;
        for right in [1, 3, 0, 2, 3, 1] {
            app.student().await.take(quiz, right).await;
            app.advance(Duration::from_secs(1));
        }
        let ada = app.student().await;
        let query = "{ board { standings { nodes { rank points reachedAt user { id } } } } }";
        let before = ada.ask(query, json!({})).await;
        let again = app.restarted_with(|_| {}).await.student().await;
        assert_eq!(again.ask(query, json!({})).await, before);
    }

    async fn a_board_costs_one_statement_at_most_whatever_its_size(app: TestApp) {
        let quiz = app.quiz(1, |_| {}).await;
        let ada = app.student().await;
        ada.take(quiz, 1).await;
        // Builds the board.
        ada.rank("ALL_TIME").await;
        for size in [3, 30] {
            for _ in 0..size {
                app.student().await.take(quiz, 1).await;
            }
            let asked = [
                "{ board { viewerStanding { rank user { handle } } } }",
                "{ board { standings(first: 100) { nodes { rank user { handle } } } } }",
                "{ board { aroundViewer { standings { rank user { handle } } } } }",
            ];
            for query in asked {
                let (statements, _) = app.statements(ada.ask(query, json!({}))).await;
                assert!(statements <= 1, "{query}");
                let (statements, _) = app.statements(ada.ask(query, json!({}))).await;
                assert_eq!(statements, 0, "all profiles are at hand: {query}");
            }
        }
    }

    async fn a_board_shows_a_changed_handle_at_once(app: TestApp) {
        let (ada, bob, quiz) = (app.student().await, app.student().await, app.quiz(1, |_| {}).await);
        ada.take(quiz, 1).await;
        let board = "{ board { standings { nodes { user { handle } } } } }";
        let shown = |data: Value| data["board"]["standings"]["nodes"][0]["user"]["handle"].clone();
        assert_eq!(shown(bob.ask(board, json!({})).await), "actor0");
        let change = "mutation { updateAccount(input: {handle: \"countess\"}) { errors { code } } }";
        ada.ask(change, json!({})).await;
        assert_eq!(shown(bob.ask(board, json!({})).await), "countess");
    }

    async fn the_tables_answer_as_the_index_does(app: TestApp) {
        let window = Window::at(Span::AllTime, app.clock.now(), app.app.zone);
        let board = Board { scope: Scope::Everything, window };
        let db = app.app.db.write();
        let mut standings = Vec::new();
        for n in 0..24_i64 {
            let student = app.student().await.id();
            // Many ties, of score and of both.
            let (score, reached_at) = (n * 7 % 5 * 1000 - 1000, n * 3 % 4);
            let row = standing::ActiveModel {
                scope_id: Set(board.scope.key()),
                window_key: Set(window.key()),
                student_id: Set(student),
                score: Set(score),
                reached_at: Set(Time(reached_at)),
                version: Set(0),
            };
            standing::Entity::insert(row).exec_without_returning(db).await.expect("a standing");
            standings.push(Standing { student: student.0, score, reached_at });
        }
        let hidden = standings.pop().expect("a standing").student;
        let hide = Statement::from_sql_and_values(
            db.get_database_backend(), "UPDATE users SET opted_out = TRUE WHERE id = $1", [hidden.into()]);
        db.execute_raw(hide).await.expect("hidden");
        let index = RankIndex::from_standings(standings.iter().map(|standing| (*standing, 0)));

        let mut questions = vec![Question::After(None, 50), Question::Before(None, 50), Question::Around(hidden, 3, 3)];
        for rank in 0..26 {
            questions.push(Question::FromRank(rank, 4));
        }
        for standing in &standings {
            let between = Standing { reached_at: standing.reached_at + 1, ..*standing };
            for key in [*standing, between] {
                questions.extend([Question::After(Some(key), 5), Question::Before(Some(key), 5)]);
            }
            questions.extend([Question::Around(standing.student, 0, 0), Question::Around(standing.student, 4, 3)]);
        }
        let asked: Vec<_> = questions.iter().map(|question| (board, question.clone())).collect();
        let (statements, found) = app.statements(tables::answers(db, &asked)).await;
        let found = found.unwrap_or_else(|_| panic!("they are answered"));
        assert_eq!((statements, found.len()), (2, questions.len()), "a hundred questions in a statement");
        for (question, found) in questions.iter().zip(found) {
            assert_eq!(found, (question.of(&index), 23), "{question:?}");
        }
    }
}
