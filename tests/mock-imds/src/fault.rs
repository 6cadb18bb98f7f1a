//! Faults: what goes wrong, and where.

use std::time::Duration;

use http::StatusCode;

use crate::path::Path;

/// Something that goes wrong with the answer to a request. Set by [`State::set_fault`].
///
/// [`State::set_fault`]: crate::State::set_fault
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status and its error page.
    Status(StatusCode),
    /// Answers 200 with bytes that are neither text nor JSON.
    Garbage,
    /// Answers right, but this much later (tokio time: a paused clock skips it).
    Delay(Duration),
    /// Never answers and holds the connection open.
    Hang,
    /// Closes the connection without an answer.
    Close,
    /// Announces the whole body, sends half of it and closes the connection.
    Cut,
}

/// The faults that are set. The most specific prefix of a path decides.
#[derive(Default)]
pub(crate) struct Faults(Vec<(Path, Fault)>);

impl Faults {
    pub(crate) fn set(&mut self, prefix: Path, fault: Fault) {
        self.0.retain(|(other, _)| *other != prefix);
        self.0.push((prefix, fault));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn at(&self, path: &Path) -> Option<Fault> {
        self.0
            .iter()
            .filter(|(prefix, _)| path.is_within(prefix))
            .max_by_key(|(prefix, _)| prefix.segments().len())
            .map(|(_, fault)| *fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_prefix_decides() {
        let mut faults = Faults::default();
        faults.set(Path::parse("/latest/meta-data/iam"), Fault::Hang);
        faults.set(Path::parse("/"), Fault::Cut);
        faults.set(Path::parse("/"), Fault::Close);
        assert_eq!(
            faults.at(&Path::parse("/latest/meta-data/iam/info")),
            Some(Fault::Hang)
        );
        assert_eq!(
            faults.at(&Path::parse("/latest/user-data")),
            Some(Fault::Close)
        );
        faults.clear();
        assert_eq!(faults.at(&Path::parse("/")), None);
    }
}
