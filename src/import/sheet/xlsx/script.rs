//! Superscripts and subscripts by formatting, as the characters that Unicode has for them.

/// Where text stands on its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::import::sheet) enum Script {
    #[default]
    Line,
    Super,
    Sub,
}

const SUPER: (&str, &str) = (
    "0123456789+-\u{2212}=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδεθφχ°*'′",
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᵋᶿᵠᵡ°*'′",
);
const SUB: (&str, &str) = (
    "0123456789+-\u{2212}=()aehijklmnoprstuvxβγρφχ",
    "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ",
);

impl Script {
    /// The text in its place; nothing if Unicode lacks one of its characters there.
    pub(in crate::import::sheet) fn written(self, text: &str) -> Option<String> {
        let (from, to) = match self {
            Script::Line => return Some(text.to_owned()),
            Script::Super => SUPER,
            Script::Sub => SUB,
        };
        let raised = |c: char| {
            if c.is_whitespace() || to.contains(c) {
                return Some(c);
            }
            let at = from.chars().position(|known| known == c)?;
            to.chars().nth(at)
        };
        text.chars().map(raised).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_unicode_has_is_written_and_the_rest_is_not() {
        assert_eq!(SUPER.0.chars().count(), SUPER.1.chars().count());
        assert_eq!(SUB.0.chars().count(), SUB.1.chars().count());
        assert_eq!(Script::Super.written("-23").as_deref(), Some("⁻²³"));
        assert_eq!(Script::Super.written("n+1").as_deref(), Some("ⁿ⁺¹"));
        assert_eq!(Script::Sub.written("4").as_deref(), Some("₄"));
        assert_eq!(Script::Super.written("²").as_deref(), Some("²"));
        assert_eq!(Script::Line.written("x").as_deref(), Some("x"));
        assert_eq!(Script::Sub.written("B"), None);
        assert_eq!(Script::Super.written("π"), None);
    }
}
