//! The GraphQL schema: the surfaces of the domains put together, and objects by id.

use async_graphql::{
    Context, ID, Interface, MergedObject, MergedSubscription, Object, PathSegment, SchemaBuilder, ServerError,
};

use crate::{
    api::{
        answer::Answer,
        attempt::{Attempt, AttemptMutation, AttemptQuery},
        audit::{AuditConnection, AuditEntry, AuditQuery},
        authoring::AuthoringMutation,
        board::{AsOf, Board, BoardQuery, BoardSubscription, Standing},
        chapter::{Chapter, ChapterMutation},
        connection::Connection,
        dashboard::DashboardQuery,
        draft::{Draft, DraftQuery, DraftQuestion},
        export::ExportMutation,
        import::{BankImport, ImportMutation, ImportQuery, ImportSubscription},
        import_sheet::{ImportFinding, ImportQuestion},
        integrity::IntegrityQuery,
        job::{Job, JobMutation, JobQuery, JobSubscription},
        limit::LimitQuery,
        media::{MediaMutation, MediaQuery, Picture},
        own_account::{OwnAccountMutation, OwnAccountQuery},
        people::{PeopleMutation, PeopleQuery},
        question::{Choice, Question},
        quiz::{CatalogueQuery, Quiz, QuizMutation},
        session::{Session, SessionMutation},
        staff_quiz::{StaffQuizMutation, StaffQuizQuery},
        subject::{Subject, SubjectMutation, SubjectQuery},
        user::{User, ViewerQuery},
    },
    error::{Error, Result},
    id::{
        AnswerId, AttemptId, AuditEntryId, BankImportId, ChapterId, ChoiceId, DraftQuestionId, JobId, PictureId,
        QuestionId, QuizId, RevisionId, SessionId, SubjectId, UserId,
    },
};

/// The root of all queries.
#[derive(MergedObject, Default)]
pub struct Query(
    NodeQuery,
    ViewerQuery,
    OwnAccountQuery,
    PeopleQuery,
    SubjectQuery,
    CatalogueQuery,
    StaffQuizQuery,
    DraftQuery,
    AttemptQuery,
    DashboardQuery,
    BoardQuery,
    AuditQuery,
    ImportQuery,
    MediaQuery,
    JobQuery,
    LimitQuery,
    IntegrityQuery,
);

/// The root of all mutations. Outcomes that a person can act on are in the payload's `errors`.
#[derive(MergedObject, Default)]
pub struct Mutation(
    SessionMutation,
    OwnAccountMutation,
    PeopleMutation,
    AttemptMutation,
    ExportMutation,
    ImportMutation,
    MediaMutation,
    JobMutation,
    QuizMutation,
    StaffQuizMutation,
    SubjectMutation,
    ChapterMutation,
    AuthoringMutation,
);

/// The root of all subscriptions. Every stream starts with the current state and continues with each change.
#[derive(MergedSubscription, Default)]
pub struct Subscription(BoardSubscription, ImportSubscription, JobSubscription);

/// The definition of the schema. What an operation may cost is judged before it runs, see `execution.rs`.
pub(crate) fn definition() -> SchemaBuilder<Query, Mutation, Subscription> {
    async_graphql::Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .override_output_type_description::<Connection<Attempt>>("A page of attempts.")
        .override_output_type_description::<AuditConnection>("A page of audit log entries.")
        .override_output_type_description::<Connection<Chapter>>("A page of chapters.")
        .override_output_type_description::<Connection<BankImport>>("A page of imports of question banks.")
        .override_output_type_description::<Connection<Draft>>("A page of drafts.")
        .override_output_type_description::<Connection<DraftQuestion>>("A page of questions of a draft.")
        .override_output_type_description::<Connection<ImportFinding>>("A page of findings of an import.")
        .override_output_type_description::<Connection<ImportQuestion>>("A page of questions of an import.")
        .override_output_type_description::<Connection<Job>>("A page of jobs.")
        .override_output_type_description::<Connection<Picture>>("A page of pictures.")
        .override_output_type_description::<Connection<Quiz>>("A page of quizzes.")
        .override_output_type_description::<Connection<Session>>("A page of sessions.")
        .override_output_type_description::<Connection<Standing, AsOf>>("A page of standings.")
        .override_output_type_description::<Connection<Subject>>("A page of subjects.")
        .override_output_type_description::<Connection<User>>("A page of accounts.")
        .limit_recursive_depth(usize::MAX)
}

/// The text of `schema.graphql`.
pub fn sdl() -> String {
    definition().finish().sdl_with_options(
        async_graphql::SDLExportOptions::new()
            .sorted_fields()
            .sorted_arguments()
            .sorted_enum_items()
            .include_specified_by(),
    )
}

/// An object with a globally unique id.
#[derive(Interface)]
#[expect(clippy::large_enum_variant, reason = "a node lives for one field of one response")]
#[graphql(field(name = "id", ty = "ID", desc = "The opaque id of the object."))]
pub(crate) enum Node {
    User(User),
    Subject(Subject),
    Chapter(Chapter),
    Quiz(Quiz),
    Draft(Draft),
    DraftQuestion(DraftQuestion),
    Attempt(Attempt),
    Answer(Answer),
    Question(Question),
    Choice(Choice),
    Board(Board),
    Session(Session),
    AuditEntry(AuditEntry),
    Job(Job),
    BankImport(BankImport),
    Picture(Picture),
}

/// Objects by id.
#[derive(Default)]
pub(crate) struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with this id. An object that does not exist and one that the viewer may not see get the same reply.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "The id of the object.")] id: ID) -> Result<Option<Node>> {
        Box::pin(node(ctx, &id)).await.map(Some)
    }

    /// The objects with these ids, in order; `null` with an error for each that is not found. At most 100.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ids of the objects.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > 100 {
            return Err(Error::BadInput("Request at most 100 nodes.".into()));
        }
        // All at once, so that the loaders make one statement per kind of object.
        let found = futures_util::future::join_all(ids.iter().map(|id| Box::pin(node(ctx, id)))).await;
        let nodes = found.into_iter().enumerate().map(|(index, found)| match found {
            Ok(node) => Some(node),
            Err(error) => {
                ctx.add_error(at_item(ctx, error, index));
                None
            }
        });
        Ok(nodes.collect())
    }
}

/// An error about one item of the list that a field returns.
fn at_item(ctx: &Context<'_>, error: Error, index: usize) -> ServerError {
    let mut error = ctx.set_error_path(async_graphql::Error::from(error).into_server_error(ctx.item.pos));
    error.path.push(PathSegment::Index(index));
    error
}

async fn node(ctx: &Context<'_>, id: &str) -> Result<Node> {
    let prefix = id.split_once('_').map_or("", |(prefix, _)| prefix);
    Ok(match prefix {
        UserId::PREFIX => super::user::user(ctx, UserId::decode(id)?).await?.into(),
        SubjectId::PREFIX => super::subject::subject(ctx, SubjectId::decode(id)?).await?.into(),
        ChapterId::PREFIX => super::chapter::chapter(ctx, ChapterId::decode(id)?).await?.into(),
        QuizId::PREFIX => super::quiz::quiz(ctx, QuizId::decode(id)?).await?.into(),
        RevisionId::PREFIX => super::draft::draft(ctx, RevisionId::decode(id)?).await?.into(),
        DraftQuestionId::PREFIX => {
            let id = DraftQuestionId::decode(id)?;
            super::draft::draft_question(ctx, id).await?.into()
        }
        AttemptId::PREFIX => super::attempt::attempt(ctx, AttemptId::decode(id)?).await?.into(),
        AnswerId::PREFIX => super::answer::answer(ctx, AnswerId::decode(id)?).await?.into(),
        QuestionId::PREFIX => super::question::question(ctx, QuestionId::decode(id)?).await?.into(),
        ChoiceId::PREFIX => super::question::choice(ctx, ChoiceId::decode(id)?).await?.into(),
        SessionId::PREFIX => super::session::own_session(ctx, SessionId::decode(id)?).await?.into(),
        AuditEntryId::PREFIX => super::audit::audit_entry(ctx, AuditEntryId::decode(id)?).await?.into(),
        JobId::PREFIX => super::job::job(ctx, JobId::decode(id)?).await?.into(),
        BankImportId::PREFIX => super::import::bank_import(ctx, BankImportId::decode(id)?).await?.into(),
        PictureId::PREFIX => super::media::picture(ctx, PictureId::decode(id)?).await?.into(),
        crate::ranks::board::Board::PREFIX => super::board::board_by_id(ctx, id).await?.into(),
        _ => return Err(Error::NotFound),
    })
}
