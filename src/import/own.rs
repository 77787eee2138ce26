//! A question as our own JSON has it: in exports, and while an import waits to be confirmed.

use rust_decimal::Decimal;
use sea_orm::ActiveEnum;
use serde::{Deserialize, Serialize};

use super::bank::Question;
use crate::{
    entity::question::Kind,
    quiz::right::{Choices, Number, Right},
    text::Markdown,
};

/// A question with what is right. Its texts are Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Written {
    pub text: String,
    /// The kind, as the API names it.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<WrittenChoice>,
    /// The right number, and how far from it an answer may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chapter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// A choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WrittenChoice {
    pub text: String,
    #[serde(default)]
    pub is_right: bool,
}

impl From<&Question> for Written {
    fn from(question: &Question) -> Self {
        let right = question.right.choices().unwrap_or_default();
        let choice = |(place, text): (usize, &Markdown)| WrittenChoice {
            text: text.as_str().to_owned(),
            is_right: right.has(place),
        };
        let number = question.right.number();
        Self {
            text: question.text.as_str().to_owned(),
            kind: question.kind.to_value(),
            choices: question.choices.iter().enumerate().map(choice).collect(),
            number: number.map(|number| number.value.to_string()),
            tolerance: number.map(|number| number.tolerance.to_string()),
            explanation: question.explanation.as_ref().map(|text| text.as_str().to_owned()),
            chapter: question.chapter.clone(),
            image: question.image.clone(),
        }
    }
}

impl Written {
    /// The kind, if it is one that this release knows.
    pub(crate) fn kind(&self) -> Option<Kind> {
        Kind::try_from_value(&self.kind).ok()
    }

    /// The question; nothing of one that a newer release wrote.
    pub(crate) fn read(self) -> Option<Question> {
        let kind = self.kind()?;
        let decimal = |text: &Option<String>| text.as_deref()?.parse::<Decimal>().ok();
        let right = match kind {
            Kind::Number => Right::Number(Number {
                value: decimal(&self.number)?,
                tolerance: decimal(&self.tolerance).unwrap_or_default(),
            }),
            _ => {
                let right = (0..).zip(&self.choices).filter(|(_, choice)| choice.is_right);
                Right::Choices(Choices::of(right.map(|(place, _)| place)))
            }
        };
        Some(Question {
            text: Markdown::of(&self.text),
            image: self.image,
            choices: self.choices.iter().map(|choice| Markdown::of(&choice.text)).collect(),
            kind,
            right,
            explanation: self.explanation.as_deref().map(Markdown::of),
            chapter: self.chapter,
        })
    }
}
