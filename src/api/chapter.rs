//! Chapters in the API: what everybody reads of them, and what staff do with them.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::{
    api::{
        context::RequestContext,
        guard::Needs,
        loader::{Chapters, ChaptersOfContent, ChaptersOfStaff},
        payload::{UserError, as_payload, date_time},
        scalar::{DateTime, Reason},
        subject::{Subject, subject_of_content},
    },
    auth::Viewer,
    entity::chapter,
    error::{Error, Result},
    id::{ChapterId, SubjectId},
    quiz::chapters,
};

/// A chapter of a subject.
#[derive(Clone)]
pub(crate) struct Chapter {
    id: ChapterId,
    subject: SubjectId,
    name: String,
}

impl Chapter {
    /// A chapter with a known name.
    pub(crate) fn new(id: ChapterId, subject: SubjectId, name: String) -> Self {
        Self { id, subject, name }
    }

    /// The name, outside of the graph.
    pub(super) fn known_name(&self) -> &str {
        &self.name
    }
}

impl From<chapter::Model> for Chapter {
    fn from(chapter: chapter::Model) -> Self {
        Self::new(chapter.id, chapter.subject_id, chapter.name)
    }
}

/// The chapter with this id, if the viewer may find it: staff also find deleted ones.
pub(crate) async fn chapter(ctx: &Context<'_>, id: ChapterId) -> Result<Chapter> {
    let is_staff = ctx.data_opt::<Viewer>().is_some_and(|viewer| viewer.role().is_staff());
    let found = match is_staff {
        true => ctx.loader::<ChaptersOfStaff>()?.load_one(id).await?,
        false => ctx.loader::<Chapters>()?.load_one(id).await?,
    };
    found.map(Chapter::from).ok_or(Error::NotFound)
}

/// The chapter of content that the viewer was let in to, deleted or not; if it was merged, the one that it is part of.
pub(crate) async fn chapter_of_content(ctx: &Context<'_>, id: ChapterId) -> Result<Chapter> {
    let found = ctx.loader::<ChaptersOfContent>()?.load_one(id).await?;
    found.map(Chapter::from).ok_or(Error::NotFound)
}

/// A chapter of a subject, such as Enzymes or Genetics.
#[Object]
impl Chapter {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.id.encode().into()
    }

    /// The name, unique within the subject whatever its case and accents.
    async fn name(&self) -> &str {
        &self.name
    }

    /// The subject.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Subject> {
        subject_of_content(ctx, self.subject).await
    }

    /// The time the chapter was deleted; `null` if it was not. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn deleted_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        let found = ctx.loader::<ChaptersOfStaff>()?.load_one(self.id).await?;
        Ok(found.and_then(|chapter| chapter.deleted_at).map(date_time))
    }
}

/// Input of `createChapter`.
#[derive(InputObject)]
pub(crate) struct CreateChapterInput {
    /// The subject.
    subject_id: ID,
    /// The name, 1 to 80 characters. No other chapter of the subject may have it, whatever its case and accents.
    name: String,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `renameChapter`.
#[derive(InputObject)]
pub(crate) struct RenameChapterInput {
    /// The chapter.
    chapter_id: ID,
    /// The new name, 1 to 80 characters. No other chapter of the subject may have it, whatever its case and accents.
    name: String,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `moveChapter`.
#[derive(InputObject)]
pub(crate) struct MoveChapterInput {
    /// The chapter.
    chapter_id: ID,
    /// The chapter of the same subject that it comes after; without one it comes first.
    after_id: Option<ID>,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `mergeChapters`.
#[derive(InputObject)]
pub(crate) struct MergeChaptersInput {
    /// The chapter that is gone afterwards.
    chapter_id: ID,
    /// The chapter of the same subject that has its questions and results afterwards.
    into_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `deleteChapter`.
#[derive(InputObject)]
pub(crate) struct DeleteChapterInput {
    /// The chapter.
    chapter_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `restoreChapter`.
#[derive(InputObject)]
pub(crate) struct RestoreChapterInput {
    /// The chapter.
    chapter_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The payloads of mutations on a chapter.
macro_rules! chapter_payloads {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $Name {
            /// The chapter as it is now.
            chapter: Option<Chapter>,
            /// Errors that the person can act on; empty on success.
            errors: Vec<UserError>,
        }

        impl $Name {
            fn of(changed: Result<chapter::Model>) -> Result<Option<Self>> {
                let (chapter, errors) = as_payload(changed)?;
                let chapter = chapter.map(Chapter::from);
                Ok(Some(Self { chapter, errors }))
            }
        }
    )*};
}

chapter_payloads! {
    /// The outcome of `createChapter`.
    CreateChapterPayload
    /// The outcome of `renameChapter`.
    RenameChapterPayload
    /// The outcome of `moveChapter`.
    MoveChapterPayload
    /// The outcome of `mergeChapters`: the chapter that has everything now.
    MergeChaptersPayload
    /// The outcome of `deleteChapter`.
    DeleteChapterPayload
    /// The outcome of `restoreChapter`.
    RestoreChapterPayload
}

/// Chapters: mutations. Each is recorded in the audit log.
#[derive(Default)]
pub(crate) struct ChapterMutation;

#[Object]
impl ChapterMutation {
    /// Creates a chapter, after the others of its subject. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn create_chapter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subject and the name.")] input: CreateChapterInput,
    ) -> Result<Option<CreateChapterPayload>> {
        let subject = SubjectId::decode(&input.subject_id)?;
        let made = chapters::create(ctx.app(), subject, &input.name, &input.reason.0, &ctx.cause()).await;
        CreateChapterPayload::of(made)
    }

    /// Gives a chapter another name. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn rename_chapter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The chapter and its new name.")] input: RenameChapterInput,
    ) -> Result<Option<RenameChapterPayload>> {
        let id = ChapterId::decode(&input.chapter_id)?;
        RenameChapterPayload::of(chapters::rename(ctx.app(), id, &input.name, &input.reason.0, &ctx.cause()).await)
    }

    /// Moves a chapter among those of its subject. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn move_chapter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The chapter and its new place.")] input: MoveChapterInput,
    ) -> Result<Option<MoveChapterPayload>> {
        let id = ChapterId::decode(&input.chapter_id)?;
        let moved = match input.after_id.map(|after| ChapterId::decode(&after)).transpose() {
            Ok(after) => chapters::place(ctx.app(), id, after, &input.reason.0, &ctx.cause()).await,
            Err(_) => Err(Error::input("afterId", "This is no other chapter of the same subject.")),
        };
        MoveChapterPayload::of(moved)
    }

    /// Merges a chapter into another one of its subject, which has its questions and the results in it at once. It can't be
    /// undone. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn merge_chapters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The two chapters.")] input: MergeChaptersInput,
    ) -> Result<Option<MergeChaptersPayload>> {
        let from = ChapterId::decode(&input.chapter_id)?;
        let merged = match ChapterId::decode(&input.into_id) {
            Ok(into) => chapters::merge(ctx.app(), from, into, &input.reason.0, &ctx.cause()).await,
            Err(_) => Err(Error::input("intoId", "This is no other chapter of the same subject.")),
        };
        MergeChaptersPayload::of(merged)
    }

    /// Deletes a chapter. Questions keep it, and so do the dashboards of students. `restoreChapter` brings it back, and so
    /// does a new question that names it. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn delete_chapter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The chapter.")] input: DeleteChapterInput,
    ) -> Result<Option<DeleteChapterPayload>> {
        let id = ChapterId::decode(&input.chapter_id)?;
        DeleteChapterPayload::of(chapters::delete(ctx.app(), id, &input.reason.0, &ctx.cause()).await)
    }

    /// Restores a deleted chapter. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn restore_chapter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The chapter.")] input: RestoreChapterInput,
    ) -> Result<Option<RestoreChapterPayload>> {
        let id = ChapterId::decode(&input.chapter_id)?;
        RestoreChapterPayload::of(chapters::restore(ctx.app(), id, &input.reason.0, &ctx.cause()).await)
    }
}
