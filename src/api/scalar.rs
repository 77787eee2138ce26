//! The schema's own scalars. All are strings. What each may hold is said once, in [`crate::text`], whose refusals a
//! person can act on and which are therefore data; here is kept out only what nobody types.

use async_graphql::{InputType, InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::text::is_unsafe;

/// A string that holds no control characters (NUL among them) and no marks that turn the reading direction.
fn typed<T: InputType>(value: Value) -> Result<String, InputValueError<T>> {
    match value {
        Value::String(text) if text.contains(is_unsafe) => Err(InputValueError::custom(
            "this text holds a control character or a mark that turns the reading direction; type it again",
        )),
        Value::String(text) => Ok(text),
        other => Err(InputValueError::expected_type(other)),
    }
}

macro_rules! scalars {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone)]
        pub struct $name(pub String);

        $(#[doc = $doc])*
        #[Scalar]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                typed(value).map(Self)
            }

            fn to_value(&self) -> Value {
                Value::String(self.0.clone())
            }
        }
    )*};
}

scalars! {
    /// An e-mail address, at most 254 characters. Kept in lower case.
    EmailAddress
    /// A name that boards show: 3 to 24 letters (a to z), digits or underscores; unique whatever the case.
    Handle
    /// A password: 10 to 200 characters.
    Password
    /// The address of a picture, beginning with https://, at most 500 characters.
    PictureUrl
    /// Made by the client once for what it wants to happen once: 8 to 100 characters, best a UUID.
    IdempotencyKey
    /// Why something was done, in 3 to 500 characters.
    Reason
    /// Words to look for, at most 100 characters.
    SearchText
    /// Text in Markdown ([CommonMark](https://spec.commonmark.org/)) without raw HTML, and without links to anywhere but
    /// https, http and mailto: safe to show.
    Markdown
}
