//! The smoke test of a running site: it finds what is broken, and leaves nothing behind.

use std::time::Duration;

use crate::{
    of_the_program,
    support::site::{PATIENCE, Site},
};

/// Tables that processes write to all the time: what is due and who works, and events on their way.
const RESTLESS: [&str; 3] = ["background_workers", "schedules", "outbox"];

async fn rows(site: &Site) -> Vec<String> {
    let rows = site.rows().await;
    let is_still = |row: &String| !RESTLESS.iter().any(|table| row.starts_with(table));
    rows.into_iter().filter(is_still).collect()
}

/// The rows once nothing is under way, nor about to be: schedules are looked at each second.
async fn settled(site: &Site) -> Vec<String> {
    let settle = async {
        let mut before = Vec::new();
        loop {
            let busy = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM background_jobs WHERE finished_at IS NULL) \
                        + (SELECT count(*) FROM audit_entries WHERE seq IS NULL)";
            let (busy, now) = (site.ask(busy).await, rows(site).await);
            if busy == 0 && now == before {
                return now;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(1200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settle).await.expect("it settles")
}

/// The rows that are new, and those that are gone.
fn changes(before: &[String], after: &[String]) -> Vec<String> {
    let one_sided = |here: &[String], there: &[String]| -> Vec<String> {
        here.iter().filter(|row| !there.contains(row)).cloned().collect()
    };
    [one_sided(before, after), one_sided(after, before)].concat()
}

of_the_program! {
    async fn a_smoke_test_takes_a_quiz_and_leaves_nothing_behind(site: Site) {
        let mut server = site.spawn("serve");
        let url = server.serves();
        let before = settled(&site).await;
        let smoke = site.run(&["smoke", "--url", &url]);
        assert!(smoke.succeeded, "{}", smoke.text);
        let steps: Vec<_> = smoke.text.lines().filter_map(|line| line.split("  ").next()).map(str::trim).collect();
        let expected = ["ready", "sign in", "quizzes", "start", "answer", "submit", "board", "clean up"];
        assert_eq!(steps, expected, "{}", smoke.text);
        assert!(smoke.text.contains("35 students are ranked"), "{}", smoke.text);
        assert_eq!(changes(&before, &settled(&site).await), Vec::<String>::new());
        // Nor does a test that was killed, once there is another.
        let mut killed = site.command(&["smoke", "--url", &url]).spawn().expect("a process");
        tokio::time::sleep(Duration::from_millis(300)).await;
        killed.kill().expect("killed");
        killed.wait().expect("an end");
        assert!(site.run(&["smoke", "--url", &url]).succeeded);
        assert_eq!(changes(&before, &settled(&site).await), Vec::<String>::new());
        assert!(site.run(&["verify"]).succeeded);
        // What is not there is said, and nothing is left then either.
        let nobody = site.run(&["smoke", "--url", "http://127.0.0.1:1"]);
        assert!(!nobody.succeeded && nobody.text.contains("FAILED: ready: "), "{}", nobody.text);
        assert_eq!(changes(&before, &settled(&site).await), Vec::<String>::new());
    }

    async fn a_smoke_test_says_which_step_failed(site: Site) {
        let site = site.with("MARMALADE_DEMO", "false");
        let mut server = site.spawn("serve");
        let url = server.serves();
        let before = settled(&site).await;
        let smoke = site.run(&["smoke", "--url", &url]);
        assert!(!smoke.succeeded && smoke.text.contains("FAILED: quizzes: no quiz is published"), "{}", smoke.text);
        assert_eq!(changes(&before, &settled(&site).await), Vec::<String>::new());
    }
}
