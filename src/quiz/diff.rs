//! What a draft changes in the revision in force, question by question.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sea_orm::ActiveEnum;

use super::{
    content::{Content, Written},
    right::Right,
};
use crate::id::{ChapterId, PictureId, QuestionId};

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The question is new.
    Added,
    /// The question is not in the draft any more.
    Removed,
    /// Some of its fields are other ones.
    Changed,
    /// It stands elsewhere among the others, and is the same.
    Moved,
}

/// A field of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Kind,
    Text,
    Choices,
    /// The right choices, or the right number with its tolerance.
    Answer,
    Explanation,
    Chapter,
    Picture,
    /// Its place among the others.
    Position,
}

/// A change of one question.
#[derive(Clone, Debug)]
pub struct Changed {
    pub kind: Kind,
    pub before: Option<Arc<Written>>,
    pub after: Option<Arc<Written>>,
    /// Of one that was changed or moved.
    pub fields: Vec<Field>,
}

/// The fields that differ, but for the position.
pub(crate) fn fields(before: &Content, after: &Content) -> Vec<Field> {
    let differs = [
        (Field::Kind, before.kind != after.kind),
        (Field::Text, before.text != after.text),
        (Field::Choices, before.choices != after.choices),
        (Field::Answer, before.right != after.right),
        (Field::Explanation, before.explanation != after.explanation),
        (Field::Chapter, before.chapter != after.chapter),
        (
            Field::Picture,
            before.image != after.image || before.picture != after.picture,
        ),
    ];
    let differs = differs.into_iter().filter(|(_, differs)| *differs);
    differs.map(|(field, _)| field).collect()
}

/// The value of a field as text, to be read beside that of another revision. A chapter has its id.
pub(crate) fn value(question: &Written, field: Field) -> Option<String> {
    let content = &question.content;
    let letter = |at: usize| char::from_u32('A' as u32 + u32::try_from(at).ok()?);
    match field {
        Field::Kind => Some(content.kind.to_value()),
        Field::Text => Some(content.text.as_str().to_owned()),
        Field::Choices => {
            let lines = content.choices.iter().enumerate();
            let lines = lines.filter_map(|(at, text)| Some(format!("{}. {}", letter(at)?, text.as_str())));
            let lines: Vec<_> = lines.collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        Field::Answer => match content.right? {
            Right::Choices(right) => {
                let letters: Vec<_> = right.positions().filter_map(letter).map(String::from).collect();
                Some(letters.join(", "))
            }
            Right::Number(number) if number.tolerance.is_zero() => Some(number.value.to_string()),
            Right::Number(number) => Some(format!("{} ± {}", number.value, number.tolerance)),
        },
        Field::Explanation => content.explanation.as_ref().map(|text| text.as_str().to_owned()),
        Field::Chapter => content.chapter.map(ChapterId::encode),
        Field::Picture => content.picture.map(PictureId::encode).or_else(|| content.image.clone()),
        Field::Position => Some((question.position + 1).to_string()),
    }
}

/// The changes from one revision to another: in the order of the new one, then what is not in it any more.
pub(crate) fn changes(before: &[Arc<Written>], after: &[Arc<Written>]) -> Vec<Changed> {
    let old: HashMap<QuestionId, (usize, &Arc<Written>)> = before
        .iter()
        .enumerate()
        .map(|(at, question)| (question.origin, (at, question)))
        .collect();
    let mut seen = HashSet::new();
    // A question twice in the draft, as by an import of the same rows: the second is new.
    let matched: Vec<_> = after
        .iter()
        .map(|question| {
            old.get(&question.origin)
                .filter(|_| seen.insert(question.origin))
                .map(|(at, old)| (*at, *old))
        })
        .collect();
    let places: Vec<usize> = matched.iter().flatten().map(|(at, _)| *at).collect();
    let stayed: HashSet<usize> = longest_ascending(&places).into_iter().collect();
    let mut changes = Vec::new();
    for (question, old) in after.iter().zip(&matched) {
        let Some((at, old)) = old else {
            changes.push(Changed {
                kind: Kind::Added,
                before: None,
                after: Some(question.clone()),
                fields: Vec::new(),
            });
            continue;
        };
        let mut fields = fields(&old.content, &question.content);
        let kind = if fields.is_empty() { Kind::Moved } else { Kind::Changed };
        if !stayed.contains(at) {
            fields.push(Field::Position);
        }
        if !fields.is_empty() {
            changes.push(Changed {
                kind,
                before: Some((*old).clone()),
                after: Some(question.clone()),
                fields,
            });
        }
    }
    let gone = before.iter().filter(|question| !seen.contains(&question.origin));
    changes.extend(gone.map(|question| Changed {
        kind: Kind::Removed,
        before: Some(question.clone()),
        after: None,
        fields: Vec::new(),
    }));
    changes
}

/// A longest ascending subsequence of different numbers: what did not move, if as little as possible did.
fn longest_ascending(numbers: &[usize]) -> Vec<usize> {
    // The index of the smallest end of an ascending sequence of each length, and what comes before each number in its own.
    let (mut ends, mut previous) = (Vec::<usize>::new(), vec![None; numbers.len()]);
    for (at, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers[*end] < *number);
        previous[at] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut sequence = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(here) = at {
        sequence.push(numbers[here]);
        at = previous[here];
    }
    sequence.reverse();
    sequence
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{entity::question, id::RevisionId, text::Markdown};

    fn written(origin: u128, position: usize, text: &str) -> Arc<Written> {
        Arc::new(Written {
            id: QuestionId(Uuid::from_u128(origin + (position as u128) * 1000)),
            revision: RevisionId(Uuid::nil()),
            origin: QuestionId(Uuid::from_u128(origin)),
            position: position as i32,
            place: position as i32,
            is_removed: false,
            content: Content {
                kind: question::Kind::SingleChoice,
                text: Markdown::of(text),
                image: None,
                picture: None,
                choices: Vec::new(),
                right: None,
                explanation: None,
                chapter: None,
            },
        })
    }

    fn revision(questions: &[(u128, &str)]) -> Vec<Arc<Written>> {
        let questions = questions.iter().enumerate();
        questions
            .map(|(at, (origin, text))| written(*origin, at, text))
            .collect()
    }

    fn told(before: &[(u128, &str)], after: &[(u128, &str)]) -> Vec<(Kind, u128, Vec<Field>)> {
        let changes = changes(&revision(before), &revision(after)).into_iter();
        let told = changes.map(|change| {
            let question = change.after.or(change.before).expect("a question");
            (change.kind, question.origin.0.as_u128(), change.fields)
        });
        told.collect()
    }

    #[test]
    fn each_kind_of_change_is_told_and_what_only_made_room_is_not() {
        let old = [(1, "one"), (2, "two"), (3, "three"), (4, "four")];
        assert_eq!(told(&old, &old), []);
        let added = [(9, "nine"), (1, "one"), (2, "two"), (3, "three"), (4, "four")];
        assert_eq!(told(&old, &added), [(Kind::Added, 9, vec![])]);
        let removed = [(1, "one"), (3, "three"), (4, "four")];
        assert_eq!(told(&old, &removed), [(Kind::Removed, 2, vec![])]);
        let moved = [(4, "four"), (1, "one"), (2, "two"), (3, "three")];
        assert_eq!(told(&old, &moved), [(Kind::Moved, 4, vec![Field::Position])]);
        let all = [(3, "drei"), (1, "one"), (9, "nine"), (4, "vier")];
        assert_eq!(
            told(&old, &all),
            [
                (Kind::Changed, 3, vec![Field::Text, Field::Position]),
                (Kind::Added, 9, vec![]),
                (Kind::Changed, 4, vec![Field::Text]),
                (Kind::Removed, 2, vec![]),
            ]
        );
    }

    proptest! {
        #[test]
        fn as_few_as_possible_are_said_to_have_moved(numbers in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle()) {
            let kept = longest_ascending(&numbers);
            prop_assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
            let mut rest = numbers.iter();
            prop_assert!(kept.iter().all(|number| rest.any(|other| other == number)), "a subsequence");
            // By trying them all.
            let longest = (0..1u32 << numbers.len()).filter_map(|set| {
                let chosen: Vec<_> = numbers.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, n)| *n).collect();
                chosen.windows(2).all(|pair| pair[0] < pair[1]).then_some(chosen.len())
            }).max();
            prop_assert_eq!(Some(kept.len()), longest);
        }
    }
}
