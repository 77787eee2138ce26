//! Loaders: one statement for each kind of object and of list in an operation, whatever the number of its parents.
//! Results and answers are those of attempts that the viewer may read.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::{Hash, Hasher},
    sync::Arc,
};

use async_graphql::{Context, dataloader::Loader};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

use crate::{
    account::session as sessions,
    api::{
        context::{OfOperation, RequestContext},
        guard::Needs,
    },
    app::App,
    attempt::{
        Filter,
        review::{self, Review},
        terms::Outlook,
    },
    auth::Viewer,
    calendar::{day_of, midnight},
    db::{Db, Reader},
    entity::{
        answer, attempt, audit_entry, chapter, choice, job, picture, question, quiz, reviews::Shown, revision, session,
        subject, user,
    },
    error::{Error, Result},
    id::{
        AnswerId, AttemptId, AuditEntryId, BankImportId, ChapterId, ChoiceId, JobId, PictureId, QuestionId, QuizId,
        RevisionId, SessionId, SubjectId, UserId,
    },
    import::{
        background::{self, BankImport},
        preview::{self, Previewed},
    },
    leaderboard::query::{self, OwnStanding, Part, Place, Standings},
    media,
    page::{Page, Slice},
    quiz::{
        content::{self, Written},
        diff::Changed,
        draft::{self, Drafted},
        paper::{Paper, Published, Question},
    },
    ranks::{
        board::{Board, Scope},
        question::Question as AskedOfBoard,
    },
};

type Loaded<K, V> = Result<HashMap<K, V>, Arc<DbErr>>;

/// A loader of one statement: what it needs of the viewer, the rows with these ids, and the entry of each.
macro_rules! loader {
    (
        $(#[$doc:meta])* $Name:ident: $Id:ty => $Value:ty,
        $Viewer:ty = |$ctx:pat_param| $given:expr,
        |$viewer:pat_param, $ids:ident| $rows:expr,
        $entry:expr
    ) => {
        $(#[$doc])*
        pub struct $Name(pub Db, pub $Viewer);

        impl OfOperation for $Name {
            fn of(ctx: &Context<'_>) -> Result<Self> {
                let $ctx = ctx;
                Ok(Self(ctx.app().db.clone(), $given))
            }
        }

        impl Loader<$Id> for $Name {
            type Value = $Value;
            type Error = Arc<DbErr>;

            async fn load(&self, ids: &[$Id]) -> Loaded<$Id, $Value> {
                let ($viewer, $ids) = (&self.1, ids.iter().copied());
                let rows = $rows.all(self.0.read()).await?;
                Ok(rows.into_iter().filter_map($entry).collect())
            }
        }
    };
}

loader! {
    /// Loads subjects that are not deleted.
    Subjects: SubjectId => subject::Model,
    () = |_| (),
    |_, ids| subject::Entity::present().filter(subject::Column::Id.is_in(ids)),
    |subject| Some((subject.id, subject))
}

loader! {
    /// Loads chapters of subjects that are not deleted.
    Chapters: ChapterId => chapter::Model,
    () = |_| (),
    |_, ids| chapter::Entity::present().filter(chapter::Column::Id.is_in(ids)),
    |chapter| Some((chapter.id, chapter))
}

loader! {
    /// Loads quizzes of the catalogue.
    Catalogue: QuizId => Published,
    () = |_| (),
    |_, ids| quiz::Entity::catalogue().filter(quiz::Column::Id.is_in(ids)),
    published
}

loader! {
    /// Loads quizzes in any state, for staff.
    QuizzesOfStaff: QuizId => Published,
    () = |ctx| Needs::Staff.of(ctx)?,
    |_, ids| quiz::Entity::of_staff().filter(quiz::Column::Id.is_in(ids)),
    published
}

loader! {
    /// Loads quizzes that have boards.
    QuizzesOfBoards: QuizId => Published,
    () = |_| (),
    |_, ids| quiz::Entity::there().filter(quiz::Column::Id.is_in(ids)),
    published
}

loader! {
    /// Loads subjects of content that the viewer was let in to.
    SubjectsOfContent: SubjectId => subject::Model,
    () = |_| (),
    |_, ids| subject::Entity::of_content().filter(subject::Column::Id.is_in(ids)),
    |subject| Some((subject.id, subject))
}

loader! {
    /// Loads subjects, deleted ones too, for staff.
    SubjectsOfStaff: SubjectId => subject::Model,
    () = |ctx| Needs::Staff.of(ctx)?,
    |_, ids| subject::Entity::unmerged().filter(subject::Column::Id.is_in(ids)),
    |subject| Some((subject.id, subject))
}

loader! {
    /// Loads chapters, deleted ones too, for staff.
    ChaptersOfStaff: ChapterId => chapter::Model,
    () = |ctx| Needs::Staff.of(ctx)?,
    |_, ids| chapter::Entity::unmerged().filter(chapter::Column::Id.is_in(ids)),
    |chapter| Some((chapter.id, chapter))
}

loader! {
    /// Loads the quizzes of attempts that a viewer may read, deleted ones too.
    QuizzesOfAttempts: QuizId => Published,
    Viewer = |ctx| ctx.viewer()?.clone(),
    |viewer, ids| quiz::Entity::of_attempts_of(viewer).filter(quiz::Column::Id.is_in(ids)),
    published
}

fn published((quiz, revision): (quiz::Model, Option<revision::Model>)) -> Option<(QuizId, Published)> {
    revision.map(|revision| (quiz.id, Published { quiz, revision }))
}

loader! {
    /// Loads accounts that a viewer can find, whole: what of them may be shown is the fields' business.
    Accounts: UserId => user::Model,
    Option<Viewer> = |ctx| ctx.viewer().ok().cloned(),
    |viewer, ids| user::Entity::known_to(viewer.as_ref()).filter(user::Column::Id.is_in(ids)),
    |account| Some((account.id, account))
}

loader! {
    /// Loads attempts that a viewer may read.
    Attempts: AttemptId => attempt::Model,
    Viewer = |ctx| ctx.viewer()?.clone(),
    |viewer, ids| attempt::Entity::readable_by(viewer).filter(attempt::Column::Id.is_in(ids)),
    |attempt| Some((attempt.id, attempt))
}

loader! {
    /// Loads choices of questions that a viewer may read.
    ReadableChoices: ChoiceId => choice::Model,
    Viewer = |ctx| ctx.viewer()?.clone(),
    |viewer, ids| choice::Entity::readable_by(viewer).filter(choice::Column::Id.is_in(ids)),
    |choice| Some((choice.id, choice))
}

loader! {
    /// Loads answers of attempts that a viewer may read.
    ReadableAnswers: AnswerId => answer::Model,
    Viewer = |ctx| ctx.viewer()?.clone(),
    |viewer, ids| answer::Entity::readable_by(viewer, ids),
    |answer| Some((answer.id(), answer))
}

loader! {
    /// Loads jobs, for staff.
    Jobs: JobId => job::Model,
    () = |_| (),
    |_, ids| job::Entity::log().filter(job::Column::Id.is_in(ids)),
    |job| Some((job.id, job))
}

loader! {
    /// Loads entries of the audit log, for admins.
    AuditEntries: AuditEntryId => audit_entry::Model,
    () = |_| (),
    |_, ids| audit_entry::Entity::log().filter(audit_entry::Column::Id.is_in(ids)),
    |entry| Some((entry.id, entry))
}

/// Loads the results of attempts, as far as a viewer may see them.
pub(crate) struct Results(App, Viewer);

impl OfOperation for Results {
    fn of(ctx: &Context<'_>) -> Result<Self> {
        Ok(Self(ctx.app().clone(), ctx.viewer()?.clone()))
    }
}

impl Loader<AttemptId> for Results {
    type Value = Shown;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[AttemptId]) -> Loaded<AttemptId, Shown> {
        let (app, ids) = (&self.0, ids.iter().copied());
        Ok(crate::attempt::results(app.db.read(), &self.1, ids, &app.now()).await?)
    }
}

/// Loads all answers of attempts.
pub(crate) struct Answers(Db);

impl OfOperation for Answers {
    fn of(ctx: &Context<'_>) -> Result<Self> {
        Ok(Self(ctx.app().db.clone()))
    }
}

impl Loader<AttemptId> for Answers {
    type Value = Vec<answer::Model>;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[AttemptId]) -> Loaded<AttemptId, Vec<answer::Model>> {
        let mut answers: HashMap<_, Vec<_>> = HashMap::new();
        for answer in answer::Entity::of_attempts(ids.iter().copied())
            .all(self.0.read())
            .await?
        {
            answers.entry(answer.attempt_id).or_default().push(answer);
        }
        Ok(answers)
    }
}

/// A loader that asks a rule for all of its keys at once. It finds an entry for each, or there is none.
macro_rules! rule {
    ($(#[$doc:meta])* $Name:ident: $Key:ty => $Value:ty, |$ctx:ident, $keys:ident| $found:expr) => {
        $(#[$doc])*
        pub(crate) struct $Name(Asking);

        impl OfOperation for $Name {
            fn of(ctx: &Context<'_>) -> Result<Self> {
                Ok(Self(Asking::of(ctx)))
            }
        }

        impl Loader<$Key> for $Name {
            type Value = $Value;
            type Error = Error;

            async fn load(&self, $keys: &[$Key]) -> Result<HashMap<$Key, $Value>> {
                let $ctx = &self.0;
                $found
            }
        }
    };
}

/// Who asks a rule.
struct Asking {
    app: App,
    viewer: Option<Viewer>,
}

impl Asking {
    fn of(ctx: &Context<'_>) -> Self {
        Self {
            app: ctx.app().clone(),
            viewer: ctx.viewer().ok().cloned(),
        }
    }

    fn db(&self) -> &Reader {
        self.app.db.read()
    }

    fn viewer(&self) -> Result<&Viewer> {
        self.viewer.as_ref().ok_or(Error::Unauthenticated)
    }
}

/// Groups the keys of a batch by their arguments: an operation has as many groups as fields, whatever the number of
/// parents.
fn by_request<P: Copy, R: Clone + Eq + Hash>(keys: &[(P, R)]) -> HashMap<R, Vec<P>> {
    let mut groups: HashMap<R, Vec<P>> = HashMap::new();
    for (parent, request) in keys {
        groups.entry(request.clone()).or_default().push(*parent);
    }
    groups
}

rule! {
    /// Loads pages of subjects' chapters.
    ChaptersOf: (SubjectId, Page<ChapterId>) => Slice<chapter::Model>,
    |ctx, keys| {
        let mut found = HashMap::new();
        for (page, subjects) in by_request(keys) {
            let slices = crate::quiz::chapters(ctx.db(), &subjects, &page).await?;
            found.extend(slices.into_iter().map(|(subject, slice)| ((subject, page.clone()), slice)));
        }
        Ok(found)
    }
}

rule! {
    /// Loads chapters of content that the viewer was let in to.
    ChaptersOfContent: ChapterId => chapter::Model,
    |ctx, keys| Ok(crate::quiz::chapters::of_content(ctx.db(), keys).await?)
}

rule! {
    /// Counts subjects' chapters.
    ChapterCounts: SubjectId => u64,
    |ctx, keys| crate::quiz::chapter_counts(ctx.db(), keys).await
}

rule! {
    /// Loads pages of students' attempts, as far as the viewer may read them.
    AttemptsOf: (UserId, (Filter, Page<AttemptId>)) => Slice<attempt::Model>,
    |ctx, keys| {
        let mut found = HashMap::new();
        for (request, students) in by_request(keys) {
            let (filter, page) = &request;
            let slices = crate::attempt::lists(ctx.db(), ctx.viewer()?, &students, *filter, page).await?;
            found.extend(slices.into_iter().map(|(student, slice)| ((student, request.clone()), slice)));
        }
        Ok(found)
    }
}

rule! {
    /// Counts students' attempts, as far as the viewer may read them.
    AttemptCounts: (UserId, Filter) => u64,
    |ctx, keys| {
        let mut found = HashMap::new();
        for (filter, students) in by_request(keys) {
            let counts = crate::attempt::counts(ctx.db(), ctx.viewer()?, &students, filter).await?;
            found.extend(counts.into_iter().map(|(student, count)| ((student, filter), count)));
        }
        Ok(found)
    }
}

rule! {
    /// Loads questions that the viewer may read.
    ReadableQuestions: QuestionId => Arc<Question>,
    |ctx, keys| {
        let readable = question::Entity::readable_by(ctx.viewer()?).filter(question::Column::Id.is_in(keys.to_vec()));
        let rows: Vec<question::Model> = readable.all(ctx.db()).await?;
        let revisions = rows.iter().map(|row| (row.revision_id, None)).collect();
        let papers = ctx.app.papers.papers(ctx.db(), revisions).await?;
        let found = rows.iter().filter_map(|row| {
            let mut questions = papers.get(&row.revision_id)?.questions.iter();
            Some((row.id, questions.find(|question| question.id == row.id)?.clone()))
        });
        Ok(found.collect())
    }
}

rule! {
    /// Loads what attempts of the viewer at quizzes that start now would come to.
    Outlooks: QuizId => Outlook,
    |ctx, keys| {
        let viewer = ctx.viewer()?;
        Ok(crate::attempt::outlooks(&ctx.app, viewer, keys.iter().copied(), &ctx.app.now()).await?)
    }
}

rule! {
    /// Loads pages of the viewer's own attempts at quizzes.
    OwnAttemptsAt: (QuizId, Page<AttemptId>) => Slice<attempt::Model>,
    |ctx, keys| {
        let mut found = HashMap::new();
        for (page, quizzes) in by_request(keys) {
            let slices = crate::attempt::own_at(ctx.db(), ctx.viewer()?, &quizzes, &page).await?;
            found.extend(slices.into_iter().map(|(quiz, slice)| ((quiz, page.clone()), slice)));
        }
        Ok(found)
    }
}

rule! {
    /// Counts the viewer's own attempts at quizzes.
    OwnAttemptCounts: QuizId => u64,
    |ctx, keys| crate::attempt::own_counts(ctx.db(), ctx.viewer()?, keys).await
}

rule! {
    /// Loads the viewer's best attempts at quizzes, among those whose points the viewer may see.
    OwnBests: QuizId => (attempt::Model, Shown),
    |ctx, keys| {
        let viewer = ctx.viewer()?;
        Ok(crate::attempt::own_bests(ctx.db(), viewer, keys.iter().copied(), &ctx.app.now()).await?)
    }
}

rule! {
    /// Loads those of these sessions that are the viewer's own.
    OwnSessionsById: SessionId => session::Model,
    |ctx, keys| {
        let own = session::Entity::of(ctx.viewer()?, ctx.app.clock.now());
        let found = own.filter(session::Column::Id.is_in(keys.to_vec())).all(ctx.db()).await?;
        Ok(found.into_iter().map(|session: session::Model| (session.id, session)).collect())
    }
}

rule! {
    /// Loads imports, for staff.
    BankImports: BankImportId => BankImport,
    |ctx, keys| {
        let found = background::find(ctx.db(), keys).await?;
        Ok(found.into_iter().map(|import| (import.id, import)).collect())
    }
}

rule! {
    /// Loads pictures of questions that the viewer may read.
    ReadablePictures: PictureId => picture::Model,
    |ctx, keys| media::find(ctx.db(), ctx.viewer()?, keys).await
}

rule! {
    /// Loads drafts, for staff.
    Drafts: RevisionId => Drafted,
    |ctx, keys| Ok(draft::find(ctx.db(), keys.iter().copied()).await?)
}

rule! {
    /// Loads the drafts of quizzes, for staff.
    DraftsOfQuizzes: QuizId => Drafted,
    |ctx, keys| Ok(draft::of_quizzes(ctx.db(), keys).await?)
}

rule! {
    /// Loads questions of drafts, for staff.
    DraftQuestions: QuestionId => Arc<Written>,
    |ctx, keys| Ok(content::find(ctx.db(), keys).await?)
}

rule! {
    /// Loads pages of the questions of drafts, or of those that were removed.
    DraftQuestionsOf: (RevisionId, (bool, Page<i32>)) => Slice<Arc<Written>>,
    |ctx, keys| {
        let mut found = HashMap::new();
        for (request, drafts) in by_request(keys) {
            let (removed, page) = &request;
            let slices = content::pages(ctx.db(), &drafts, *removed, page).await?;
            found.extend(slices.into_iter().map(|(draft, slice)| ((draft, request.clone()), slice)));
        }
        Ok(found)
    }
}

rule! {
    /// Loads pages of the questions of sheets that are not confirmed yet, for staff.
    ImportQuestions: ((BankImportId, i32), Page<i32>) => Slice<Previewed>,
    |ctx, keys| {
        let mut found = HashMap::new();
        for (page, sheets) in by_request(keys) {
            let slices = preview::questions(ctx.db(), &sheets, &page).await?;
            found.extend(slices.into_iter().map(|(sheet, slice)| ((sheet, page.clone()), slice)));
        }
        Ok(found)
    }
}

rule! {
    /// Counts the questions of drafts, or those that were removed.
    DraftQuestionCounts: (RevisionId, bool) => u64,
    |ctx, keys| {
        let mut found = HashMap::new();
        for (removed, drafts) in by_request(keys) {
            let counts = content::counts(ctx.db(), &drafts, removed).await?;
            found.extend(counts.into_iter().map(|(draft, count)| ((draft, removed), count)));
        }
        Ok(found)
    }
}

rule! {
    /// Loads all questions of drafts.
    DraftContents: RevisionId => Vec<Arc<Written>>,
    |ctx, keys| Ok(content::of_revisions(ctx.db(), keys).await?)
}

rule! {
    /// Compares drafts with the revisions of their quizzes that are in force.
    DraftChanges: (RevisionId, QuizId) => Arc<Vec<Changed>>,
    |ctx, keys| Ok(draft::changes(ctx.db(), keys).await?)
}

rule! {
    /// Loads the latest earlier imports of the same files, for staff.
    ImportsOfFile: (BankImportId, String) => BankImport,
    |ctx, keys| background::earlier_of_file(ctx.db(), keys).await
}

rule! {
    /// Loads pages of the viewer's own sessions.
    OwnSessions: Page<SessionId> => Slice<session::Model>,
    |ctx, keys| {
        let mut found = HashMap::new();
        for page in keys {
            let slice = sessions::list(ctx.db(), ctx.viewer()?, ctx.app.clock.now(), page).await?;
            found.insert(page.clone(), slice);
        }
        Ok(found)
    }
}

rule! {
    /// Counts the viewer's own sessions.
    OwnSessionCount: () => u64,
    |ctx, _keys| {
        let count = sessions::count(ctx.db(), ctx.viewer()?, ctx.app.clock.now()).await?;
        Ok(HashMap::from([((), count)]))
    }
}

rule! {
    /// Loads the numbers of questions of published revisions.
    Sizes: RevisionId => usize,
    |ctx, keys| ctx.app.papers.sizes(ctx.db(), keys.to_vec()).await
}

/// The paper of a revision, which may have been loaded already.
#[derive(Clone)]
pub(crate) struct PaperOf {
    pub id: RevisionId,
    pub revision: Option<revision::Model>,
}

impl PartialEq for PaperOf {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for PaperOf {}

impl Hash for PaperOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

rule! {
    /// Loads the papers of published revisions.
    PapersOf: PaperOf => Arc<Paper>,
    |ctx, keys| {
        let wanted = keys.iter().map(|key| (key.id, key.revision.clone())).collect();
        let mut papers = ctx.app.papers.papers(ctx.db(), wanted).await?;
        Ok(keys.iter().filter_map(|key| Some((key.clone(), papers.remove(&key.id)?))).collect())
    }
}

/// An attempt whose review is asked for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ReviewOf(pub attempt::Model);

impl Hash for ReviewOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

rule! {
    /// Loads the reviews of attempts that the viewer may read.
    Reviews: ReviewOf => Arc<Review>,
    |ctx, keys| {
        let attempts: Vec<_> = keys.iter().map(|ReviewOf(attempt)| attempt.clone()).collect();
        let now = ctx.app.now();
        let mut reviews = review::reviews(&ctx.app, &ctx.app.papers, ctx.viewer()?, &attempts, &now).await?;
        let review = |attempt: attempt::Model| Some((reviews.remove(&attempt.id)?, ReviewOf(attempt)));
        let reviews = attempts.into_iter().filter_map(review);
        Ok(reviews.map(|(review, attempt)| (attempt, Arc::new(review))).collect())
    }
}

rule! {
    /// Finds scopes that have boards.
    ScopesOfBoards: Scope => (),
    |ctx, keys| {
        let scopes = query::scopes(&ctx.app.boards, keys).await?;
        Ok(scopes.into_iter().map(|scope| (scope, ())).collect())
    }
}

rule! {
    /// Loads parts of boards.
    StandingsOf: (Board, Part) => Standings,
    |ctx, keys| {
        let found = query::standings(&ctx.app.boards, ctx.viewer()?, keys, &ctx.app.now()).await?;
        Ok(keys.iter().cloned().zip(found).collect())
    }
}

rule! {
    /// Loads the places of scores on boards.
    Places: (Board, i64) => Place,
    |ctx, keys| query::places(&ctx.app.boards, keys).await
}

rule! {
    /// Loads the viewer's standings on boards.
    OwnStandings: Board => OwnStanding,
    |ctx, keys| query::own(&ctx.app.boards, ctx.viewer()?, keys).await
}

/// Loads the ranks at the start of the day. Students without one have no entry; neither has anyone while the index is
/// unavailable, as the tables would take too long.
pub(crate) struct RanksThisMorning(App);

impl OfOperation for RanksThisMorning {
    fn of(ctx: &Context<'_>) -> Result<Self> {
        Ok(Self(ctx.app().clone()))
    }
}

impl Loader<(Board, UserId)> for RanksThisMorning {
    type Value = u64;
    type Error = Infallible;

    async fn load(&self, keys: &[(Board, UserId)]) -> Result<HashMap<(Board, UserId), u64>, Infallible> {
        let app = &self.0;
        let today = day_of(app.clock.now(), app.zone);
        let morning = midnight(today, app.zone);
        let mut students: HashMap<Board, Vec<UserId>> = HashMap::new();
        for (board, student) in keys {
            // A board that began this morning was empty then.
            if board.window.starts_at(app.zone).is_none_or(|start| start < morning) {
                students.entry(*board).or_default().push(*student);
            }
        }
        let (boards, students): (Vec<_>, Vec<_>) = students.into_iter().unzip();
        let questions = |students: &Vec<UserId>| {
            students
                .iter()
                .map(|student| AskedOfBoard::Around(student.0, 0, 0))
                .collect()
        };
        let asked = boards.iter().copied().zip(students.iter().map(questions)).collect();
        let answers = app.boards.ranks.ask_each(&app.db, Some(today), asked).await;
        let mut ranks = HashMap::new();
        for ((board, students), answers) in boards.into_iter().zip(students).zip(answers) {
            for (student, answer) in students.into_iter().zip(answers.into_iter().flatten()) {
                ranks.extend(answer.entries.first().map(|entry| ((board, student), entry.rank)));
            }
        }
        Ok(ranks)
    }
}
