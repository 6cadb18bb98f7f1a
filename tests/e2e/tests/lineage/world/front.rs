//! What who revokes has besides IAM: a trail that is late, a clock, and somebody who agrees or does not.

use std::{collections::BTreeSet, io};

use credpin::{
    cloudtrail::{self, Reading, Source, Trail as Files, TrailError},
    revoke::{Made, Planned, lineage::Outside},
};
use credpin_core::{
    containment::Round,
    lineage::{Lineage, Target, Trace, trace},
};
use credpin_e2e::trail::{Trail, incident::C};
use credpin_ledger::Access;
use jiff::Timestamp;

use super::{World, seconds};

/// Its trail and its clock.
pub(crate) struct Front {
    world: World,
    key: String,
    pauses: Option<usize>,
    agrees: bool,
}

impl Front {
    pub(crate) fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            key: C.to_owned(),
            pauses: None,
            agrees: true,
        }
    }

    pub(crate) fn of(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// Somebody stops it after so many pauses.
    pub(crate) fn stop_after_pauses(&mut self, pauses: usize) {
        self.pauses = Some(pauses);
    }

    pub(crate) fn refuse(&mut self) {
        self.agrees = false;
    }
}

impl Outside for Front {
    fn now(&self) -> Timestamp {
        self.world.inner().now
    }

    async fn look(&self, now: Timestamp) -> Result<(Option<Trace>, Reading), TrailError> {
        let source: Source = {
            let mut inner = self.world.inner();
            inner.looks += 1;
            // Ids of events come of the seed.
            let mut trail = Trail::new(1000 + inner.looks);
            let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut inner.under_way)
                .into_iter()
                .partition(|(delivered, ..)| *delivered <= now);
            inner.under_way = later;
            for (_, at, call) in due {
                trail.add(at, call);
            }
            trail.write(inner.folder.path()).unwrap();
            // Reading it takes a while too.
            let then = inner.now + seconds(10);
            inner.pass(then);
            inner.folder.path().to_str().unwrap().parse().unwrap()
        };
        let files = Files::open(&source, &Access::Variables(Vec::new()))?;
        let (lineage, reading) = cloudtrail::read(files, Lineage::default).await?;
        let target = Target::Key(self.key.clone());
        Ok((trace(lineage, &target, None, now), reading))
    }

    async fn until(&self, then: Timestamp) -> bool {
        if self.pauses.is_some_and(|pauses| pauses <= 1) {
            return false;
        }
        self.world.inner().pass(then);
        true
    }

    fn found(
        &mut self,
        _trace: &Trace,
        _reading: &Reading,
        round: &Round,
        cuts: &[Planned],
    ) -> io::Result<bool> {
        assert_eq!(round.cuts.len(), cuts.len());
        Ok(self.agrees)
    }

    fn done(&mut self, made: &Made) -> io::Result<()> {
        let mut inner = self.world.inner();
        let now = inner.now;
        inner.cuts.push((now, made.done.len()));
        let ids: BTreeSet<_> = made.done.iter().map(|planned| &planned.id).collect();
        assert_eq!(ids.len(), made.done.len(), "each cut is there once");
        Ok(())
    }
}
