//! Statements, put into as few documents as hold them, with as few of these rewritten as can be.
//!
//! Each statement stands alone, so any may be in any document. The largest goes first, each into the
//! first document with room: at most 11/9 of the least number of documents (first-fit decreasing),
//! in `O(n log n)` for the few documents that a role can have. What is in a document already stays
//! there, as long as that takes no document more.

use crate::policy::{Document, Statement};

/// What a pin may take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Documents.
    pub documents: usize,
    /// Characters of each, blanks not counted.
    pub characters: usize,
}

/// Whether statements of these sizes can be packed.
pub(super) fn fits(sizes: &[usize], room: Room) -> bool {
    from_scratch(sizes, room).is_some()
}

/// The documents by their number, of which some may be empty; none where they do not fit. `before`
/// is what is in each now.
pub fn pack(
    statements: Vec<Statement>,
    room: Room,
    before: &[Option<Document>],
) -> Option<Vec<Document>> {
    let sizes: Vec<usize> = statements.iter().map(Statement::size).collect();
    let least = from_scratch(&sizes, room)?;
    let kept = keeping(&statements, &sizes, room, before)
        .filter(|kept| documents_used(kept) <= documents_used(&least));
    let places = kept.unwrap_or(least);
    let number = places.iter().max().map_or(0, |last| last + 1);
    let mut documents = vec![Document::default(); number];
    for (statement, place) in statements.into_iter().zip(places) {
        documents[place].statements.push(statement);
    }
    Some(documents)
}

fn documents_used(places: &[usize]) -> usize {
    let mut places = places.to_vec();
    places.sort_unstable();
    places.dedup();
    places.len()
}

/// The place of each statement, or none where they do not fit.
fn from_scratch(sizes: &[usize], room: Room) -> Option<Vec<usize>> {
    let mut documents = Fill::new(room);
    let mut places = vec![0; sizes.len()];
    for number in largest_first(sizes) {
        places[number] = documents.put(sizes[number])?;
    }
    Some(places)
}

/// The same, with each statement where it is now if there is room for it.
fn keeping(
    statements: &[Statement],
    sizes: &[usize],
    room: Room,
    before: &[Option<Document>],
) -> Option<Vec<usize>> {
    let home = |statement: &Statement| {
        before.iter().position(|document| {
            let said = document.iter().flat_map(|document| &document.statements);
            said.into_iter().any(|said| said.sid == statement.sid)
        })
    };
    let mut documents = Fill::new(room);
    let mut places: Vec<Option<usize>> = statements
        .iter()
        .zip(sizes)
        .map(|(statement, size)| home(statement).filter(|place| documents.put_at(*place, *size)))
        .collect();
    for number in largest_first(sizes) {
        if places[number].is_none() {
            places[number] = Some(documents.put(sizes[number])?);
        }
    }
    places.into_iter().collect()
}

fn largest_first(sizes: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|number| std::cmp::Reverse(sizes[*number]));
    order
}

/// How full each document is.
struct Fill {
    room: Room,
    used: Vec<usize>,
}

impl Fill {
    fn new(room: Room) -> Self {
        let empty = Document::default().size();
        Self {
            room,
            used: vec![empty; room.documents],
        }
    }

    /// Puts a statement of `size` into the first document with room for it.
    fn put(&mut self, size: usize) -> Option<usize> {
        (0..self.used.len()).find(|place| self.put_at(*place, size))
    }

    /// Whether there was room in that document.
    fn put_at(&mut self, place: usize, size: usize) -> bool {
        let Some(used) = self.used.get_mut(place) else {
            return false;
        };
        // With the comma that a further statement would want.
        let fits = *used + size <= self.room.characters;
        if fits {
            *used += size + 1;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Actions;

    /// A statement of that name and at least that size.
    fn statement(sid: &str, size: usize) -> Statement {
        let action = format!("s3:{}", "x".repeat(size));
        Statement::deny(sid, Actions::Only(vec![action]))
    }

    fn room(documents: usize) -> Room {
        Room {
            documents,
            characters: 1000,
        }
    }

    fn names(documents: &[Document]) -> Vec<String> {
        let sids = |document: &Document| {
            let sids = document.statements.iter().map(|it| it.sid.as_str());
            sids.collect::<Vec<_>>().concat()
        };
        documents.iter().map(sids).collect()
    }

    #[test]
    fn a_document_is_filled_to_the_last_character() {
        let two = vec![statement("A", 100), statement("B", 100)];
        let size = Document {
            statements: two.clone(),
        }
        .size();
        let of = |characters| Room {
            documents: 1,
            characters,
        };
        assert!(pack(two.clone(), of(size), &[]).is_some());
        assert!(pack(two, of(size - 1), &[]).is_none());
    }

    #[test]
    fn what_is_in_a_document_stays_there_when_something_grows() {
        let first = vec![
            statement("A", 600),
            statement("B", 500),
            statement("C", 200),
        ];
        let before = pack(first, room(2), &[]).unwrap();
        assert_eq!(names(&before), ["AC", "B"]);
        let before: Vec<Option<Document>> = before.into_iter().map(Some).collect();
        // By size alone B would come first now.
        let grown = vec![
            statement("A", 600),
            statement("B", 650),
            statement("C", 200),
        ];
        assert_eq!(
            names(&pack(grown.clone(), room(2), &[]).unwrap()),
            ["B", "AC"]
        );
        assert_eq!(names(&pack(grown, room(2), &before).unwrap()), ["AC", "B"]);
    }

    #[test]
    fn what_grows_out_of_its_document_moves_and_nothing_else_does() {
        let before = [
            Some(Document {
                statements: vec![statement("A", 300), statement("B", 300)],
            }),
            Some(Document {
                statements: vec![statement("C", 200)],
            }),
        ];
        let grown = vec![
            statement("A", 300),
            statement("B", 600),
            statement("C", 200),
        ];
        assert_eq!(names(&pack(grown, room(2), &before).unwrap()), ["A", "BC"]);
    }

    #[test]
    fn a_pin_that_shrinks_to_fewer_documents_gives_the_others_up() {
        let before = [
            Some(Document {
                statements: vec![statement("A", 600)],
            }),
            Some(Document {
                statements: vec![statement("B", 600)],
            }),
        ];
        let shrunk = vec![statement("A", 200), statement("B", 200)];
        assert_eq!(names(&pack(shrunk, room(2), &before).unwrap()), ["AB"]);
    }

    #[test]
    fn what_does_not_fit_is_not_cut() {
        assert!(pack(vec![statement("A", 1000)], room(9), &[]).is_none());
        let three = ["A", "B", "C"].map(|sid| statement(sid, 600)).to_vec();
        assert!(pack(three, room(2), &[]).is_none());
    }
}
