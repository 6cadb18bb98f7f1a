//! A mark by which a document tells that somebody else changed it.
//!
//! The name of its last statement ends in a digest of the document without that ending. It stands in
//! the document itself, so it costs no call and no state. It is no signature: who means to forge it
//! can, and may write IAM policies anyway.

use super::Document;

/// What stands between a statement's own name and the digest.
const MARK: &str = "Seal";
/// Characters of the digest.
const DIGITS: usize = 8;
/// Characters that a seal adds to a document.
pub const SEAL_LENGTH: usize = MARK.len() + DIGITS;

impl Document {
    /// The same, sealed.
    #[must_use]
    pub fn sealed(&self) -> Self {
        let seal = self.seal();
        let mut sealed = self.clone();
        if let Some(last) = sealed.statements.last_mut() {
            last.sid.push_str(&seal);
        }
        sealed
    }

    /// The document that was sealed; none where the seal is broken or was never there.
    pub fn unsealed(&self) -> Option<Self> {
        self.clone().unseal().ok()
    }

    /// The same of a document that is not wanted as it is; it comes back where it was not sealed.
    pub(crate) fn unseal(mut self) -> Result<Self, Self> {
        let Some(seal) = self.take_end() else {
            return Err(self);
        };
        if self.seal() == seal {
            return Ok(self);
        }
        if let Some(last) = self.statements.last_mut() {
            last.sid.push_str(&seal);
        }
        Err(self)
    }

    /// Cuts off what stands where a seal does.
    fn take_end(&mut self) -> Option<String> {
        let last = self.statements.last_mut()?;
        let at = last.sid.len().checked_sub(SEAL_LENGTH)?;
        let is_between = last.sid.is_char_boundary(at);
        is_between.then(|| last.sid.split_off(at))
    }

    /// The same without its seal, whether or not that is whole.
    #[must_use]
    pub fn without_seal(&self) -> Self {
        let mut document = self.clone();
        if let Some(last) = document.statements.last_mut()
            && let Some((name, digits)) = last.sid.rsplit_once(MARK)
            && digits.len() == DIGITS
        {
            last.sid = name.to_owned();
        }
        document
    }

    fn seal(&self) -> String {
        let digest = self.digest().to_string();
        format!("{MARK}{}", &digest[..DIGITS])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Actions, Statement, arbitrary::statement};

    proptest! {
        #[test]
        fn a_document_comes_back_as_it_was_sealed(statements in prop::collection::vec(statement(true), 1..4)) {
            let mut document = Document { statements };
            for (number, statement) in document.statements.iter_mut().enumerate() {
                statement.sid = format!("S{number}");
            }
            let sealed = document.sealed();
            credpin_witness::note(sealed.to_json());
            prop_assert_eq!(document.sealed_size(), sealed.size());
            prop_assert_eq!(Document::parse(&sealed.to_json()).unwrap().unsealed(), Some(document));
        }
    }

    #[test]
    fn whatever_is_changed_breaks_the_seal() {
        let deny = |sid: &str| Statement::deny(sid, Actions::Only(vec!["s3:*".into()]));
        let document = Document {
            statements: vec![deny("A"), deny("B")],
        };
        let sealed = document.sealed();
        let mut changed = sealed.clone();
        changed.statements[0].actions = Actions::Only(vec!["s3:GetObject".into()]).into();
        let mut shorter = sealed.clone();
        shorter.statements.remove(0);
        let mut cut = sealed.clone();
        cut.statements.pop();
        for (what, edited) in [
            ("changed", changed),
            ("shorter", shorter),
            ("cut", cut),
            ("never", document),
        ] {
            assert_eq!(edited.unsealed(), None, "{what}");
            assert_eq!(edited.clone().unseal(), Err(edited), "{what}");
        }
        assert!(sealed.unsealed().is_some());
    }
}
