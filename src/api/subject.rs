//! Subjects in the API: what everybody reads of them, and what staff do with them.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::{
    api::{
        board::{Board, BoardWindow, present_board},
        chapter::Chapter,
        connection::{Connection, Total, connection},
        context::RequestContext,
        guard::Needs,
        loader::{ChapterCounts, ChaptersOf, Subjects, SubjectsOfContent, SubjectsOfStaff},
        payload::{UserError, as_payload, date_time, if_there},
        scalar::{DateTime, Reason},
    },
    auth::Viewer,
    entity::{chapter, subject},
    error::{Error, Result},
    id::{ChapterId, SubjectId},
    page::Page,
    quiz::{subject_count, subjects},
    ranks::board::Scope,
};

/// A subject of the catalogue.
#[derive(Clone)]
pub(crate) struct Subject {
    id: SubjectId,
    name: String,
}

impl Subject {
    /// A subject with a known name.
    pub(crate) fn new(id: SubjectId, name: String) -> Self {
        Self { id, name }
    }
}

impl From<subject::Model> for Subject {
    fn from(subject: subject::Model) -> Self {
        Self::new(subject.id, subject.name)
    }
}

/// The subject with this id, if the viewer may find it: staff also find deleted ones.
pub(crate) async fn subject(ctx: &Context<'_>, id: SubjectId) -> Result<Subject> {
    let is_staff = ctx.data_opt::<Viewer>().is_some_and(|viewer| viewer.role().is_staff());
    let found = match is_staff {
        true => ctx.loader::<SubjectsOfStaff>()?.load_one(id).await?,
        false => ctx.loader::<Subjects>()?.load_one(id).await?,
    };
    found.map(Subject::from).ok_or(Error::NotFound)
}

/// The subject of content that the viewer was let in to, deleted or not.
pub(crate) async fn subject_of_content(ctx: &Context<'_>, id: SubjectId) -> Result<Subject> {
    let found = ctx.loader::<SubjectsOfContent>()?.load_one(id).await?;
    found.map(Subject::from).ok_or(Error::NotFound)
}

/// A subject, such as Biology or Chemistry.
#[Object]
impl Subject {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.id.encode().into()
    }

    /// The name, unique whatever its case and accents.
    async fn name(&self) -> &str {
        &self.name
    }

    /// The time the subject was deleted; `null` if it was not. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn deleted_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        let found = ctx.loader::<SubjectsOfStaff>()?.load_one(self.id).await?;
        Ok(found.and_then(|subject| subject.deleted_at).map(date_time))
    }

    /// The chapters, in the order that staff gave them.
    async fn chapters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Chapter>> {
        let page = Page::of((first, last), (after, before), |cursor| ChapterId::decode(cursor).ok())?;
        let subject = self.id;
        let total = Total::of(move |ctx| {
            Box::pin(async move { Ok(ctx.loader::<ChapterCounts>()?.load_one(subject).await?.unwrap_or(0)) })
        });
        let slice = ctx.loader::<ChaptersOf>()?.load_one((subject, page)).await?;
        let slice = slice.ok_or(Error::NotFound)?;
        Ok(connection(
            slice,
            total,
            |chapter: &chapter::Model| chapter.place().encode(),
            Chapter::from,
        ))
    }

    /// The subject's current board; `null` if the subject is deleted.
    async fn board(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The kind of window. Defaults to all time.")] window: Option<BoardWindow>,
    ) -> Result<Option<Board>> {
        if_there(present_board(ctx, Scope::Subject(self.id), window).await)
    }
}

/// Subjects: queries. Open to everyone, but for deleted ones.
#[derive(Default)]
pub(crate) struct SubjectQuery;

#[Object]
impl SubjectQuery {
    /// The subjects, oldest first.
    async fn subjects(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Subject>> {
        let page = Page::of((first, last), (after, before), |cursor| SubjectId::decode(cursor).ok())?;
        let slice = subjects(ctx.app().db.read(), &page).await?;
        Ok(connection(
            slice,
            Total::of(|ctx| Box::pin(subject_count(ctx.app().db.read()))),
            |subject| subject.id.encode(),
            Subject::from,
        ))
    }

    /// The deleted subjects, oldest first. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn deleted_subjects(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<Subject>>> {
        let page = Page::of((first, last), (after, before), |cursor| SubjectId::decode(cursor).ok())?;
        let slice = subjects::deleted(ctx.app().db.read(), &page).await?;
        let total = Total::of(|ctx| Box::pin(subjects::deleted_count(ctx.app().db.read())));
        Ok(Some(connection(
            slice,
            total,
            |subject| subject.id.encode(),
            Subject::from,
        )))
    }
}

/// Input of `createSubject`.
#[derive(InputObject)]
pub(crate) struct CreateSubjectInput {
    /// The name, 1 to 80 characters. No other subject may have it, whatever its case and accents.
    name: String,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `renameSubject`.
#[derive(InputObject)]
pub(crate) struct RenameSubjectInput {
    /// The subject.
    subject_id: ID,
    /// The new name, 1 to 80 characters. No other subject may have it, whatever its case and accents.
    name: String,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `mergeSubjects`.
#[derive(InputObject)]
pub(crate) struct MergeSubjectsInput {
    /// The subject that is gone afterwards.
    subject_id: ID,
    /// The subject that has its quizzes, chapters and results afterwards.
    into_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `deleteSubject`.
#[derive(InputObject)]
pub(crate) struct DeleteSubjectInput {
    /// The subject.
    subject_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `restoreSubject`.
#[derive(InputObject)]
pub(crate) struct RestoreSubjectInput {
    /// The subject.
    subject_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The payloads of mutations on a subject.
macro_rules! subject_payloads {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $Name {
            /// The subject as it is now.
            subject: Option<Subject>,
            /// Errors that the person can act on; empty on success.
            errors: Vec<UserError>,
        }

        impl $Name {
            fn of(changed: Result<subject::Model>) -> Result<Option<Self>> {
                let (subject, errors) = as_payload(changed)?;
                let subject = subject.map(Subject::from);
                Ok(Some(Self { subject, errors }))
            }
        }
    )*};
}

subject_payloads! {
    /// The outcome of `createSubject`.
    CreateSubjectPayload
    /// The outcome of `renameSubject`.
    RenameSubjectPayload
    /// The outcome of `mergeSubjects`: the subject that has everything now.
    MergeSubjectsPayload
    /// The outcome of `deleteSubject`.
    DeleteSubjectPayload
    /// The outcome of `restoreSubject`.
    RestoreSubjectPayload
}

/// Subjects: mutations. Each is recorded in the audit log.
#[derive(Default)]
pub(crate) struct SubjectMutation;

#[Object]
impl SubjectMutation {
    /// Creates a subject. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn create_subject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The name and the reason.")] input: CreateSubjectInput,
    ) -> Result<Option<CreateSubjectPayload>> {
        CreateSubjectPayload::of(subjects::create(ctx.app(), &input.name, &input.reason.0, &ctx.cause()).await)
    }

    /// Gives a subject another name. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn rename_subject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subject and its new name.")] input: RenameSubjectInput,
    ) -> Result<Option<RenameSubjectPayload>> {
        let id = SubjectId::decode(&input.subject_id)?;
        let renamed = subjects::rename(ctx.app(), id, &input.name, &input.reason.0, &ctx.cause()).await;
        RenameSubjectPayload::of(renamed)
    }

    /// Merges a subject into another one: quizzes and chapters move there at once, chapters of the same name become one, and
    /// boards and dashboards count its results there within seconds. It can't be undone. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn merge_subjects(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The two subjects.")] input: MergeSubjectsInput,
    ) -> Result<Option<MergeSubjectsPayload>> {
        let from = SubjectId::decode(&input.subject_id)?;
        let merged = match SubjectId::decode(&input.into_id) {
            Ok(into) => subjects::merge(ctx.app(), from, into, &input.reason.0, &ctx.cause()).await,
            Err(_) => Err(Error::input("intoId", "There is no such subject.")),
        };
        MergeSubjectsPayload::of(merged)
    }

    /// Deletes a subject. Refused while there are quizzes in it, except deleted ones. `restoreSubject` brings it back. For
    /// staff.
    #[graphql(guard = "Needs::Staff")]
    async fn delete_subject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subject.")] input: DeleteSubjectInput,
    ) -> Result<Option<DeleteSubjectPayload>> {
        let id = SubjectId::decode(&input.subject_id)?;
        DeleteSubjectPayload::of(subjects::delete(ctx.app(), id, &input.reason.0, &ctx.cause()).await)
    }

    /// Restores a deleted subject, with its chapters. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn restore_subject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subject.")] input: RestoreSubjectInput,
    ) -> Result<Option<RestoreSubjectPayload>> {
        let id = SubjectId::decode(&input.subject_id)?;
        RestoreSubjectPayload::of(subjects::restore(ctx.app(), id, &input.reason.0, &ctx.cause()).await)
    }
}
