//! Typed ids: the id of a student can't be passed for that of an attempt, neither in the code nor through the API.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DeriveValueType)]
        #[sea_orm(array_type = "Uuid", column_type = "Uuid")]
        pub struct $name(pub Uuid);

        impl $name {
            /// The prefix of the object's id in the API.
            pub const PREFIX: &str = $prefix;

            /// The opaque id that the API shows.
            pub fn encode(self) -> String {
                encode($prefix, self.0.as_bytes())
            }

            /// Reads an id of the API. One that can't be read, or is of another type, is one that nothing has.
            pub fn decode(id: &str) -> Result<Self> {
                let bytes = decode($prefix, id).ok_or(Error::NotFound)?;
                Uuid::from_slice(&bytes).map(Self).map_err(|_| Error::NotFound)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )*};
}

ids! {
    /// An account of a student or a staff member.
    UserId = "user",
    SessionId = "session",
    SubjectId = "subject",
    ChapterId = "chapter",
    QuizId = "quiz",
    /// A revision; in the API a draft, as long as it is one.
    RevisionId = "revision",
    /// A question in its draft, where staff see its answer.
    DraftQuestionId = "draftquestion",
    QuestionId = "question",
    ChoiceId = "choice",
    AttemptId = "attempt",
    AuditEntryId = "audit",
    JobId = "job",
    BankImportId = "import",
    RegistrationId = "registration",
    PictureId = "picture",
}

/// An answer: there is one for each attempt and question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnswerId {
    pub attempt: AttemptId,
    pub question: QuestionId,
}

impl AnswerId {
    /// The prefix of the object's id in the API.
    pub const PREFIX: &str = "answer";

    /// The opaque id that the API shows.
    pub fn encode(self) -> String {
        let (attempt, question) = (self.attempt.0.as_bytes(), self.question.0.as_bytes());
        encode(Self::PREFIX, &[*attempt, *question].concat())
    }

    /// Reads an id of the API. One that can't be read, or is of another type, is one that nothing has.
    pub fn decode(id: &str) -> Result<Self> {
        let bytes = decode(Self::PREFIX, id).ok_or(Error::NotFound)?;
        let (attempt, question) = bytes.split_at_checked(16).ok_or(Error::NotFound)?;
        let id = |bytes| Uuid::from_slice(bytes).map_err(|_| Error::NotFound);
        Ok(Self {
            attempt: AttemptId(id(attempt)?),
            question: QuestionId(id(question)?),
        })
    }
}

/// `prefix_` and the bytes in URL-safe base64.
pub(crate) fn encode(prefix: &str, bytes: &[u8]) -> String {
    format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The bytes of an id that begins with `prefix_`.
pub(crate) fn decode(prefix: &str, id: &str) -> Option<Vec<u8>> {
    let rest = id.strip_prefix(prefix)?.strip_prefix('_')?;
    URL_SAFE_NO_PAD.decode(rest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answers_id_is_read_back_and_no_other_length_is() {
        let answer = AnswerId {
            attempt: AttemptId(Uuid::from_u128(7)),
            question: QuestionId(Uuid::from_u128(8)),
        };
        assert!(AnswerId::decode(&answer.encode()).is_ok_and(|read| read == answer));
        for bytes in [&[][..], &[0; 16], &[0; 31], &[0; 33]] {
            let id = encode(AnswerId::PREFIX, bytes);
            assert!(matches!(AnswerId::decode(&id), Err(Error::NotFound)), "{id}");
        }
        assert!(matches!(
            AnswerId::decode(&answer.attempt.encode()),
            Err(Error::NotFound)
        ));
    }

    #[test]
    fn an_id_is_read_back_and_another_types_id_is_not() {
        let quiz = QuizId(Uuid::from_u128(7));
        assert!(QuizId::decode(&quiz.encode()).is_ok_and(|read| read == quiz));
        assert!(matches!(AttemptId::decode(&quiz.encode()), Err(Error::NotFound)));
        for nonsense in [
            "",
            "quiz",
            "quiz_",
            "quiz_AA",
            "quiz_\u{0}",
            "QUIZ_AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(matches!(QuizId::decode(nonsense), Err(Error::NotFound)), "{nonsense}");
        }
    }
}
