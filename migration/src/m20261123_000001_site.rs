use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261123_000001_site",
    up: r#"
-- What holds for the whole site and must not drift with the configuration: calendar windows are cut in this zone.
CREATE TABLE site (
    id {int} PRIMARY KEY CHECK (id = 1),
    time_zone {text} NOT NULL,
    created_at {time} NOT NULL
) {strict};
"#,
    down: r#"
DROP TABLE site;
"#,
};
