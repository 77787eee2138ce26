//! The kinds of jobs, each from the domain that runs it.

use sea_orm::ActiveEnum;
use serde_json::json;

use crate::{
    account::{
        link::{EmailChangeWarning, EmailConfirmationEmail, PasswordResetEmail},
        own::Purge,
        registration::RegistrationEmail,
    },
    audit::{Action, Entry},
    change::{Cause, Change},
    dashboard::daily::CountDays,
    entity::job::{self, State},
    error::Result,
    id::JobId,
    import::{background::ReadBank, confirm::WriteBank, preview::PreviewBank},
    jobs::{self, Kind},
    quiz::{author::Regrade, settings::Release, subjects::Recount},
    site::Site,
};

/// The kinds of jobs that this release runs. Jobs of other kinds are left to a newer release.
pub static KINDS: [Kind<Site>; 12] = [
    Kind::of::<PasswordResetEmail>(),
    Kind::of::<EmailConfirmationEmail>(),
    Kind::of::<EmailChangeWarning>(),
    Kind::of::<RegistrationEmail>(),
    Kind::of::<ReadBank>(),
    Kind::of::<PreviewBank>(),
    Kind::of::<WriteBank>(),
    Kind::of::<Regrade>(),
    Kind::of::<Recount>(),
    Kind::of::<Release>(),
    Kind::of::<CountDays>(),
    Kind::of::<Purge>(),
];

/// The kind of this name.
pub(crate) fn kind(name: &str) -> Option<&'static Kind<Site>> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Enqueues a dead job again.
pub(crate) async fn retry(site: &Site, id: JobId, cause: &Cause) -> Result<job::Model> {
    let change = Change::begin(site, cause).await?;
    let job = jobs::retry(&change, id, &cause.now).await?;
    let retried = Entry::of(Action::JobRetried, id.encode())
        .was(json!({"state": State::Dead.to_value()}))
        .became(json!({"state": job.state.to_value(), "kind": job.kind}));
    change.audit(retried).await?;
    change.commit().await?;
    Ok(job)
}
