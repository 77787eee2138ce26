//! Questions that are nearly the same: they share nearly all of their words, those of the choices included.
//!
//! Each question is listed under its rarest words only, as many as two questions so alike must share one of (prefix
//! filtering), so that few pairs are compared, and of each list only the first ones: the work is bounded by the size of the
//! file, and of the bank it is compared with.

use std::collections::{HashMap, HashSet};

use super::{Code, Problem, Question, Sheet, alike::as_seen};

/// The share of words that two questions must have in common, in percent.
const ALIKE: usize = 85;
/// Below so many words nothing is said: short questions are alike by nature.
const FEWEST: usize = 6;
/// The most questions of one word that another is compared with.
const COMPARED: usize = 50;

/// The words of a question with its choices, each once, as numbers: the rarer, the lower.
type Words = Vec<u32>;

/// The questions of a file by their words.
pub(crate) struct Index {
    /// Words by their rank, the rarest first.
    ranks: HashMap<String, u32>,
    words: Vec<Words>,
    listed: HashMap<u32, Vec<usize>>,
}

impl Index {
    /// Of these texts, each a question with its choices.
    pub(crate) fn of(texts: &[String]) -> Self {
        let split: Vec<HashSet<String>> = texts.iter().map(|text| split(text)).collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for word in split.iter().flatten() {
            *counts.entry(word).or_default() += 1;
        }
        let mut known: Vec<(usize, &str)> = counts.into_iter().map(|(word, count)| (count, word)).collect();
        known.sort_unstable();
        let ranks: HashMap<String, u32> = known
            .into_iter()
            .zip(0..)
            .map(|((_, word), rank)| (word.to_owned(), rank))
            .collect();
        let mut index = Self {
            words: Vec::with_capacity(texts.len()),
            ranks,
            listed: HashMap::new(),
        };
        for (place, words) in split.iter().enumerate() {
            let (words, _) = index.ranked(words);
            for word in &words[..prefix(words.len())] {
                index.listed.entry(*word).or_default().push(place);
            }
            index.words.push(words);
        }
        index
    }

    /// The words that are known, and the number of all.
    fn ranked(&self, words: &HashSet<String>) -> (Words, usize) {
        let mut ranked: Words = words.iter().filter_map(|word| self.ranks.get(word).copied()).collect();
        ranked.sort_unstable();
        (ranked, words.len())
    }

    /// All questions of the file that are nearly the same as this text.
    pub(crate) fn all_like(&self, text: &str) -> Vec<usize> {
        let (words, all) = self.ranked(&split(text));
        self.candidates(&words, all, usize::MAX).collect()
    }

    fn nearest(&self, words: &Words, all: usize, end: usize) -> Option<usize> {
        self.candidates(words, all, end).next()
    }

    fn candidates<'s>(&'s self, words: &'s Words, all: usize, end: usize) -> impl Iterator<Item = usize> + 's {
        let enough = if all < FEWEST { 0 } else { prefix(all) };
        let listed = words[..enough.min(words.len())]
            .iter()
            .filter_map(|word| self.listed.get(word));
        let mut candidates: Vec<usize> = listed
            .flat_map(|places| places.iter().copied().take_while(|place| *place < end).take(COMPARED))
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.into_iter().filter(move |place| {
            let other = &self.words[*place];
            let common = common(words, other);
            common * 100 >= ALIKE * (all + other.len() - common)
        })
    }
}

/// The number of rarest words of which two questions that are alike share one.
fn prefix(words: usize) -> usize {
    words - (words * ALIKE).div_ceil(100) + usize::from(words > 0)
}

fn common(one: &Words, other: &Words) -> usize {
    let (mut at, mut found) = (0, 0);
    for word in one {
        while other.get(at).is_some_and(|next| next < word) {
            at += 1;
        }
        found += usize::from(other.get(at) == Some(word));
    }
    found
}

/// The words of a text as a reader sees them, each once. A number is a word: "5 m" is not "6 m".
fn split(text: &str) -> HashSet<String> {
    let seen = as_seen(text).to_lowercase();
    let words = seen
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// A question with its choices, to be compared.
pub(crate) fn compared(text: &str, choices: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut compared = text.to_owned();
    for choice in choices {
        compared.push(' ');
        compared.push_str(choice.as_ref());
    }
    compared
}

/// The texts of all questions of a file.
pub(crate) fn texts(sheets: &[Sheet]) -> Vec<String> {
    let questions = sheets.iter().flat_map(|sheet| &sheet.questions);
    let text = |question: &Question| {
        compared(
            question.text.as_str(),
            question.choices.iter().map(|choice| choice.as_str()),
        )
    };
    questions.map(text).collect()
}

/// Warns of questions that are nearly the same as one before in the file.
pub(super) fn warn(sheets: &mut [Sheet], room: &mut usize) {
    let index = Index::of(&texts(sheets));
    let cells: Vec<String> = sheets.iter().flat_map(|sheet| sheet.cells.clone()).collect();
    let mut place = 0;
    for sheet in sheets {
        for at in 0..sheet.questions.len() {
            let words = &index.words[place];
            if let Some(first) = index.nearest(words, words.len(), place) {
                let message = format!(
                    "This is nearly the same as {}; check that both are meant, for both are imported.",
                    cells[first]
                );
                let warning = Problem::new(sheet.cells[at].clone(), Code::NearDuplicate, message);
                // What asks the same is said to already.
                let is_said = |known: &Problem| known.code == Code::SameText && known.cell == sheet.cells[at];
                if !sheet.report.warnings.iter().any(is_said) {
                    sheet.report.note(warning, room);
                }
            }
            place += 1;
        }
    }
}

/// Warns of a question that a quiz of the site has already.
pub(crate) fn warn_of_bank(sheet: &mut Sheet, at: usize, quiz: &str, room: &mut usize) {
    let message =
        format!("A question that is nearly the same is in the quiz \u{201C}{quiz}\u{201D}; check that both are meant.");
    let warning = Problem::new(sheet.cells[at].clone(), Code::InBank, message);
    sheet.report.note(warning, room);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_a_word_of_many_is_nearly_the_same() {
        let texts: Vec<String> = [
            "Which of these organelles of a plant cell makes sugar from light and water? chloroplast nucleus",
            "Which of the organelles of a plant cell makes sugar from light and water? chloroplast nucleus",
            "How far does a stone fall in 5 s from rest near the ground? 125 m 250 m",
            "How far does a stone fall in 6 s from rest near the ground? 180 m 360 m",
            "Short one?",
        ]
        .map(str::to_owned)
        .to_vec();
        let index = Index::of(&texts);
        let like: Vec<_> = (0..texts.len())
            .map(|at| index.nearest(&index.words[at], index.words[at].len(), at))
            .collect();
        assert_eq!(like, [None, Some(0), None, None, None]);
        assert_eq!(index.all_like("Short one?"), Vec::<usize>::new());
    }

    #[test]
    fn many_questions_are_compared_in_little_time() {
        let texts: Vec<String> = (0..5_000)
            .map(|n| {
                format!(
                    "Which number follows on {n} when one counts by ones from the beginning {}",
                    n * 7
                )
            })
            .collect();
        let index = Index::of(&texts);
        let start = std::time::Instant::now();
        let found = (0..texts.len())
            .filter(|at| index.nearest(&index.words[*at], index.words[*at].len(), *at).is_some())
            .count();
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
        assert!(found < texts.len());
    }
}
