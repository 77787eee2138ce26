//! What staff make of an import that was previewed: where each sheet goes, and on which terms.

use std::collections::HashSet;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde::{Deserialize, Serialize};

use super::{
    Imported, Target,
    background::{self, BankImport, NOT_STAFF, earlier, finish, is_of_staff, order_digest, turn},
    drafts,
    options::Options,
    own::Written,
    preview::{begin_progress, count_of},
    writing::{Planned, Run as Writing},
};
use crate::{
    audit::{Action, Entry, Source},
    auth::Viewer,
    change::{Cause, Change},
    clock::{Moment, Time},
    entity::{
        bank_import::{self, Step},
        import_question, revision,
    },
    error::{Error, Result, UserError, UserErrorCode},
    id::{BankImportId, UserId},
    jobs::{Job, Run},
    quiz::author::{self, NewQuestion},
    site::Site,
    text,
};

/// What becomes of an import.
pub(crate) struct Confirmation {
    /// The sheets that are imported, by name, and where each goes.
    pub sheets: Vec<(String, Target)>,
    /// Whether nothing is imported if a row of these sheets was refused.
    pub all_or_nothing: bool,
    pub publish: bool,
    pub reason: String,
}

/// A confirmation as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    /// By their place in the report.
    sheets: Vec<(usize, Target)>,
    publish: bool,
    by: UserId,
    request_id: Option<String>,
}

/// Writes the questions of an import that was confirmed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WriteBank {
    pub import: BankImportId,
    /// Why, in the words of who confirmed it.
    pub reason: String,
}

impl Job for WriteBank {
    const KIND: &'static str = "bank_write";
    const ABOUT: &'static str = "Writes the questions of an import that was confirmed.";
}

impl Run for WriteBank {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        write(site, self.import, &self.reason, now).await
    }
}

/// Confirms an import; the rest is a job's. The same file that went to the same place before, read in the same way, is not
/// imported again: that import is returned.
pub(crate) async fn confirm(
    site: &Site,
    viewer: &Viewer,
    id: BankImportId,
    confirmation: &Confirmation,
    cause: &Cause,
) -> Result<Result<BankImport, Vec<UserError>>> {
    let reason = text::reason("reason", &confirmation.reason)?;
    let mut change = Change::begin(site, cause).await?;
    let import = background::find(&change, &[id]).await?.pop().ok_or(Error::NotFound)?;
    let (Some(digest), Some(reports)) = (&import.content_digest, import.sheets()) else {
        return Err(not_ready());
    };
    // One that is put back because a draft was stale has its error, and waits.
    if import.finished_at.is_some() && import.error.is_some() {
        return Err(not_ready());
    }
    let mut errors = Vec::new();
    let sheets = chosen(&change, id, &reports, confirmation, &mut errors).await?;
    if !errors.is_empty() {
        return Ok(Err(errors));
    }
    let options = Options::read(import.options.as_deref());
    let targets: Vec<_> = sheets
        .iter()
        .map(|(place, target)| (place, unversioned(target)))
        .collect();
    let order = order_digest(digest, &options, &(&targets, confirmation.publish))?;
    if let Some(earlier) = earlier(&change, &order).await? {
        change.commit().await?;
        return Ok(Ok(earlier));
    }
    let questions = sheets.iter().map(|(place, _)| reports[*place].report.imported).sum();
    let audited = serde_json::json!({
        "questions": questions,
        "publish": confirmation.publish,
        "sheets": sheets.iter().map(|(place, target)| audited(*place, target)).collect::<Vec<_>>(),
    });
    let orders = Orders {
        sheets,
        publish: confirmation.publish,
        by: viewer.user(),
        request_id: cause.source.request_id.clone(),
    };
    let row = bank_import::ActiveModel {
        step: Set(Some(Step::Writing)),
        orders: Set(Some(serde_json::to_string(&orders).map_err(Error::internal)?)),
        order_digest: Set(Some(order.clone())),
        error: Set(None),
        ..Default::default()
    };
    let confirmed = bank_import::Entity::update_many()
        .set(row)
        .filter(bank_import::Column::Id.eq(id))
        .filter(bank_import::Column::FinishedAt.is_null())
        .filter(bank_import::Column::Step.eq(Step::Ready))
        .exec(&change)
        .await;
    match confirmed {
        Ok(confirmed) if confirmed.rows_affected == 0 => return Err(not_ready()),
        Ok(_) => {}
        // The same file was confirmed at the same moment.
        Err(error) => {
            change.rollback().await?;
            let earlier = earlier(site.db.write(), &order).await?;
            return earlier.map(Ok).ok_or_else(|| error.into());
        }
    }
    begin_progress(&change, id, questions).await?;
    let entry = Entry::of(Action::ImportConfirmed, id.encode()).became(audited);
    change.audit(entry.reason(reason.as_str())).await?;
    change.enqueue(&WriteBank { import: id, reason }).await?;
    let import = background::find(&change, &[id]).await?.pop().ok_or(Error::NotFound)?;
    change.commit().await?;
    Ok(Ok(import))
}

fn not_ready() -> Error {
    let message = "This import can't be confirmed now: it is still being read, or was confirmed or given up already.";
    Error::refused(UserErrorCode::Conflict, message).at("importId")
}

/// The same place whichever version of the draft was seen.
fn unversioned(target: &Target) -> Target {
    match target.clone() {
        Target::Draft { quiz, replace, .. } => Target::Draft {
            quiz,
            version: None,
            replace,
        },
        new => new,
    }
}

/// A target as the audit log has it: ids and titles.
fn audited(place: usize, target: &Target) -> serde_json::Value {
    match target {
        Target::New { title, .. } => serde_json::json!({"sheet": place, "title": title}),
        Target::Draft { quiz, replace, .. } => {
            serde_json::json!({"sheet": place, "quiz": quiz.encode(), "replace": replace})
        }
    }
}

/// The chosen sheets by their place, and all that is wrong with the choice.
async fn chosen(
    change: &Change<'_>,
    id: BankImportId,
    reports: &[Imported],
    confirmation: &Confirmation,
    errors: &mut Vec<UserError>,
) -> Result<Vec<(usize, Target)>> {
    let error = |code, message: String, path: &[&str]| UserError {
        code,
        message,
        path: ["input"].iter().chain(path).map(|part| (*part).to_owned()).collect(),
    };
    let bad = |message: String, path: &[&str]| error(UserErrorCode::BadUserInput, message, path);
    if confirmation.sheets.is_empty() {
        errors.push(bad("Choose at least one sheet.".to_owned(), &["sheets"]));
    }
    let (mut places, mut replaced, mut chosen) = (HashSet::new(), HashSet::new(), Vec::new());
    for (number, (name, target)) in confirmation.sheets.iter().enumerate() {
        let number = number.to_string();
        let at = |argument: &'static str| ["sheets", number.as_str(), argument];
        let Some(place) = reports.iter().position(|sheet| sheet.report.name == *name) else {
            errors.push(bad("The file has no sheet of this name.".to_owned(), &at("sheet")));
            continue;
        };
        if !places.insert(place) {
            errors.push(bad("This sheet is chosen twice.".to_owned(), &at("sheet")));
            continue;
        }
        let report = &reports[place].report;
        if count_of(change, id, i32::try_from(place).unwrap_or(i32::MAX)).await? == 0 {
            errors.push(bad(
                "This sheet has no question that can be imported.".to_owned(),
                &at("sheet"),
            ));
        }
        if report.has_errors() && confirmation.all_or_nothing {
            let message = format!(
                "Rows of the sheet \u{201C}{name}\u{201D} were refused. Mend them, or import the valid rows only."
            );
            errors.push(bad(message, &["rows"]));
        }
        if report.has_errors() && confirmation.publish {
            let message = format!(
                "Rows of the sheet \u{201C}{name}\u{201D} were refused. Import it as a draft, and publish it once it is whole."
            );
            errors.push(bad(message, &["publish"]));
        }
        let target = match target {
            Target::New { title, subject } => {
                let mut read = |text: &str, argument: &'static str, most| match text::name(argument, text, most) {
                    Ok(name) => name,
                    Err(Error::User(wrong)) => {
                        errors.push(error(
                            wrong.code,
                            wrong.message,
                            &["sheets", &number, "into", "newQuiz", argument],
                        ));
                        String::new()
                    }
                    Err(_) => String::new(),
                };
                Target::New {
                    title: read(title, "title", 120),
                    subject: read(subject, "subject", 80),
                }
            }
            Target::Draft { quiz, version, replace } => {
                let argument = if *replace { "replaceDraft" } else { "addToDraft" };
                match drafts::of_quiz(change, *quiz).await {
                    Ok(_) => {}
                    Err(Error::User(wrong)) => {
                        errors.push(error(
                            wrong.code,
                            wrong.message,
                            &["sheets", &number, "into", argument, "quizId"],
                        ));
                    }
                    Err(error) => return Err(error),
                }
                let draft = revision::Entity::draft_of(*quiz).one(change).await?;
                if draft.is_some_and(|draft| version.is_some_and(|version| version != draft.version)) {
                    let message = "Somebody else has changed this draft meanwhile. Load it again, and confirm with its present version.";
                    let path = ["sheets", &number, "into", argument, "version"];
                    errors.push(error(UserErrorCode::Conflict, message.to_owned(), &path));
                }
                let is_first = replaced.insert(*quiz);
                if !is_first && *replace {
                    let message = "Another sheet goes into this draft, too, and this one would take its place.";
                    errors.push(bad(
                        message.to_owned(),
                        &["sheets", &number, "into", argument, "quizId"],
                    ));
                }
                target.clone()
            }
        };
        chosen.push((place, target));
    }
    Ok(chosen)
}

/// Writes what was confirmed, in transactions of which one shows it.
pub async fn run_confirmed(site: &Site, id: BankImportId, now: &Moment) -> Result<()> {
    write(site, id, "", now).await
}

async fn write(site: &Site, id: BankImportId, reason: &str, now: &Moment) -> Result<()> {
    let _turn = turn().await?;
    let waiting = bank_import::Entity::waiting(id).one(site.db.read()).await?;
    let Some(waiting) = waiting.filter(|import| import.step == Some(Step::Writing)) else {
        return Ok(());
    };
    let orders: Orders =
        serde_json::from_str(waiting.orders.as_deref().unwrap_or_default()).map_err(Error::internal)?;
    let mut reports: Vec<Imported> =
        serde_json::from_str(waiting.report.as_deref().unwrap_or_default()).map_err(Error::internal)?;
    let cause = Cause {
        source: Source {
            actor: Some(orders.by),
            request_id: orders.request_id.clone(),
        },
        viewer: None,
        now: now.clone(),
    };
    let Some(mut run) = Writing::begin(site, &cause, Some(id)).await? else {
        return Ok(());
    };
    let written = write_sheets(site, &mut run, id, &orders, &mut reports).await;
    match written {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(Error::User(error)) => {
            run.undo().await?;
            return take_back(site, id, error.message).await;
        }
        Err(error) => return Err(error),
    }
    let report = serde_json::to_string(&reports).map_err(Error::internal)?;
    let Some(mut change) = run.change().await? else {
        return Ok(());
    };
    finish(&change, id, None, now).await?;
    let reason = Some(reason).filter(|reason| !reason.is_empty());
    match run.show(&mut change, orders.publish, reason).await {
        Ok(()) => {}
        Err(Error::User(error)) => {
            change.rollback().await?;
            run.undo().await?;
            return take_back(site, id, error.message).await;
        }
        Err(error) => return Err(error),
    }
    bank_import::Entity::update_many()
        .col_expr(bank_import::Column::Report, Expr::value(report))
        .filter(bank_import::Column::Id.eq(id))
        .exec(&change)
        .await?;
    import_question::Entity::forget([id]).exec(&change).await?;
    if !is_of_staff(&change, orders.by).await? {
        change.rollback().await?;
        run.undo().await?;
        return take_back(site, id, NOT_STAFF.to_owned()).await;
    }
    change.commit().await?;
    run.tidy().await
}

/// Writes the chosen sheets. False once another run has taken over.
async fn write_sheets(
    site: &Site,
    run: &mut Writing<'_>,
    id: BankImportId,
    orders: &Orders,
    reports: &mut [Imported],
) -> Result<bool> {
    for (place, target) in &orders.sheets {
        let sheet = i32::try_from(*place).unwrap_or(i32::MAX);
        let rows = import_question::Entity::in_order(id, sheet).all(site.db.read()).await?;
        let read = |row: import_question::Model| {
            let written: Written = serde_json::from_str(&row.content).ok()?;
            written.read().map(NewQuestion::from)
        };
        let questions: Option<Vec<NewQuestion>> = rows.into_iter().map(read).collect();
        let questions = questions.ok_or_else(|| Error::internal("a kept question can't be read"))?;
        if orders.publish {
            author::check_new(&questions)?;
        }
        let planned = Planned {
            target: target.clone(),
            questions,
        };
        let Some(outcome) = run.write(planned).await? else {
            return Ok(false);
        };
        if let Some(report) = reports.get_mut(*place) {
            (report.quiz, report.skipped) = (Some(outcome.quiz), outcome.skipped);
        }
    }
    Ok(true)
}

/// Lets an import that could not be written be confirmed again, and says why.
async fn take_back(site: &Site, id: BankImportId, error: String) -> Result<()> {
    let row = bank_import::ActiveModel {
        step: Set(Some(Step::Ready)),
        orders: Set(None),
        order_digest: Set(None),
        error: Set(Some(error)),
        ..Default::default()
    };
    bank_import::Entity::update_many()
        .set(row)
        .filter(bank_import::Column::Id.eq(id))
        .filter(bank_import::Column::FinishedAt.is_null())
        .filter(bank_import::Column::Step.eq(Step::Writing))
        .exec(site.db.write())
        .await?;
    Ok(())
}
