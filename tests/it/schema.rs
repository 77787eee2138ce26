//! The committed schema is the built one, and says something about everything.

#[test]
fn schema_graphql_is_up_to_date() {
    let committed = include_str!("../../schema.graphql");
    let built = marmalade::schema::sdl();
    assert!(
        committed == built,
        "run `cargo run -- schema > schema.graphql` and look at the difference"
    );
}
