//! The operations that GraphiQL offers: each is valid, does what its name says, and its variables fit.

use std::collections::HashSet;

use async_graphql::parser::{parse_query, types::DocumentOperations};
use marmalade::{auth::role::Role, http::graphiql::saved};
use serde_json::Value;

use crate::on_both_databases;

#[test]
fn each_saved_operation_has_a_name_a_description_and_variables_that_are_json() {
    let mut titles = HashSet::new();
    let tasks = saved::tasks();
    assert!(!tasks.is_empty());
    for task in &tasks {
        assert!(!task.operations.is_empty(), "{} has none", task.task);
        for operation in &task.operations {
            let title = &operation.title;
            assert!(titles.insert(title.clone()), "{title} is there twice");
            assert!(!operation.description.is_empty(), "{title} says nothing about itself");
            let document = parse_query(&operation.query).unwrap_or_else(|error| panic!("{title}: {error}"));
            let DocumentOperations::Multiple(named) = document.operations else {
                panic!("{title} has no name")
            };
            assert_eq!(named.keys().map(|name| name.as_str()).collect::<Vec<_>>(), [title]);
            if !operation.variables.is_empty() {
                serde_json::from_str::<Value>(&operation.variables).unwrap_or_else(|error| panic!("{title}: {error}"));
            }
        }
    }
}

/// Whatever staff can do, they do in GraphiQL.
#[test]
fn each_mutation_of_staff_is_saved() {
    let rules = include_str!("ownership/rules.txt").lines();
    let of_staff = rules.filter(|line| line.split_whitespace().take(2).eq(["Mutation", "staff"]));
    let saved: Vec<_> = saved::tasks().into_iter().flat_map(|task| task.operations).collect();
    for mutation in of_staff.flat_map(|line| line.split_whitespace().skip(2)) {
        let named = format!(" {mutation}(");
        assert!(
            saved.iter().any(|operation| operation.query.contains(&named)),
            "{mutation}"
        );
    }
}

on_both_databases! {
    async fn the_server_takes_each_saved_operation(app: TestApp) {
        let admin = app.actor(Role::Admin).await;
        for operation in saved::tasks().into_iter().flat_map(|task| task.operations) {
            let variables = serde_json::from_str(&operation.variables).unwrap_or(Value::Null);
            // Its placeholders are ids of nothing: whatever comes back, it is not about the document or the variables.
            let (_, reply) = admin.send(&operation.query, variables).await;
            for error in reply["errors"].as_array().into_iter().flatten() {
                let code = &error["extensions"]["code"];
                let known = ["NOT_FOUND", "RATE_LIMITED", "FORBIDDEN"];
                let a_subscription = operation.query.contains("\nsubscription ");
                assert!(known.iter().any(|known| code == known) || a_subscription, "{}: {reply}", operation.title);
            }
        }
    }
}
